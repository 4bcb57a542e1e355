"""nginx and Caddy before a console, with the very lines of docs/console.md."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from commands import PATIENCE, ROOT, wait_for

__all__ = ["NAME", "PROXIES", "certificate", "installed", "proxy"]

NAME = "pictures.example.org"
PROXIES = ("nginx", "caddy")
PAGE = ROOT / "docs" / "console.md"


def installed(name):
    """The path of a server that may not be in PATH; None without it."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")


def snippet(opening):
    """The fenced block of the page that begins with that line."""
    blocks = re.findall(r"^```\w+\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [each for each in blocks if each.startswith(opening)]
    return found


def certificate(folder):
    """A certificate for the name, signed by itself, and its key."""
    made, key = folder / "pictures.pem", folder / "pictures.key"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    words += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", made]
    subprocess.run(words, check=True, capture_output=True)
    return made, key


def nginx(folder, port, made, key):
    """What nginx is started with, for the page's server block with other places and another port."""
    block = snippet("server {").replace("/etc/ssl/pictures.pem", str(made)).replace("/etc/ssl/pictures.key", str(key))
    assert "127.0.0.1:8470" in block
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    text = f"""
daemon off; pid {folder / "nginx.pid"}; error_log stderr info; {"user root;" if os.geteuid() == 0 else ""}
events {{ }}
http {{
access_log {folder / "access.log"};
{temporary}{block.replace("127.0.0.1:8470", f"127.0.0.1:{port}")}}}
"""
    file = folder / "nginx.conf"
    file.write_text(text)
    return [installed("nginx"), "-e", "stderr", "-c", file]


def caddy(folder, port, made, key):
    """Caddy's words, for the page's site with another port and a certificate that is there."""
    block = snippet(NAME)
    assert "127.0.0.1:8470" in block
    site = block.replace("127.0.0.1:8470", f"127.0.0.1:{port}").replace("{\n", f"{{\n    tls {made} {key}\n", 1)
    file = folder / "Caddyfile"
    file.write_text("{\n    admin off\n}\n" + site)
    return [installed("caddy"), "run", "--adapter", "caddyfile", "--config", file]


@contextlib.contextmanager
def proxy(name, folder, namespace, url):
    """The server of that name on port 443 of a namespace, before the console at ``url``; its certificate's path."""
    made, key = certificate(folder)
    words = {"nginx": nginx, "caddy": caddy}[name](folder, int(url.rpartition(":")[2]), made, key)
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([*namespace.words, *map(str, words)], env=environment, stderr=log, stdout=log)
    asked = [*namespace.words, "curl", "-sk", "-o", "/dev/null", "--resolve", f"{NAME}:443:127.0.0.1"]
    try:
        wait_for(
            lambda: (
                process.poll() is not None or subprocess.run([*asked, f"https://{NAME}/"], check=False).returncode == 0
            )
        )
        assert process.poll() is None, (folder / f"{name}.log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(PATIENCE)
