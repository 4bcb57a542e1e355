"""What the doctor says about a hot folder that is a share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "e2e"))
sys.path.append(str(Path(__file__).parents[1] / "unit"))
from daemon_standin import folder
from share_servers import snippet
from test_intake_samba import opened

from srwatchd.config import load
from srwatchd.daemon.examine_shares import examine_share, shares_of
from srwatchd.daemon.finding import Level


@pytest.fixture
def share(tmp_path):
    """A share as docs/shares.md has it: the folder, its log with one entry of now, and the smb.conf."""
    made = folder(tmp_path, source={"samba_audit_log": tmp_path / "audit" / "log.*"})
    made.inbox.mkdir(parents=True)
    made.inbox.chmod(0o2775)
    log = tmp_path / "audit" / "log.10.0.0.1"
    log.parent.mkdir()
    log.write_bytes(opened(os.fsencode(made.inbox / "x.png")))
    os.utime(log, (1_790_000_000, 1_790_000_000))
    conf = tmp_path / "smb.conf"
    conf.write_text(snippet("ini").replace("/srv/srwatchd/scans", str(made.inbox.parent)))
    return made, log, conf


def look(share):
    made, _, conf = share
    return {each.subject: each for each in examine_share(made, smb_conf=conf)}


def test_the_layout_of_the_document_is_in_order(share):
    """Group, log and smb.conf as they are written there: nothing to say against any of them."""
    found = look(share)
    assert {name: each.level for name, each in found.items()} == {
        "a group": Level.OK,
        "a samba log": Level.OK,
        "a [scans]": Level.OK,
    }
    assert "1 files known" in found["a samba log"].found


def test_a_folder_that_is_no_share_is_left_alone(tmp_path):
    """Without source.samba_audit_log nothing is said."""
    assert not list(examine_share(folder(tmp_path), smb_conf=tmp_path / "none"))


@pytest.mark.parametrize(
    ("mode", "words"), [(0o2755, "may not drop"), (0o775, "another group"), (0o700, "may not drop")]
)
def test_an_inbox_that_its_group_cannot_use(share, mode, words):
    """Not writable for the group, or without the set-group-id bit: a warning with the command."""
    share[0].inbox.chmod(mode)
    found = look(share)["a group"]
    assert found.level is Level.WARNING
    assert words in found.found
    assert "chmod 2775" in found.remedy


def test_an_inbox_that_is_not_there(share):
    """It is said, and nothing fails."""
    share[0].inbox.rmdir()
    assert look(share)["a group"].level is Level.WARNING


def test_a_log_that_is_not_there_or_in_another_time_zone(share):
    """What keeps files from being attributed is said with its cause."""
    _, log, _ = share
    os.utime(log, (1_790_003_600, 1_790_003_600))
    assert "-3600 s" in look(share)["a samba log"].found
    log.unlink()
    found = look(share)["a samba log"]
    assert found.level is Level.WARNING
    assert "no Samba audit log" in found.found


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("veto files", "; veto files", "veto files"),
        ("vfs objects", "# vfs objects", "full_audit"),
        ("|%U|%u|", "|%u|%U|", "full_audit:prefix"),
        ("renameat", "renamed", "lacks renameat"),
        ("full_audit:syslog = false", "", "full_audit:syslog"),
    ],
)
def test_what_smb_conf_wants(share, old, new, words):
    """A share that leads to the inbox without the lines of the document: what is missing is named."""
    conf = share[2]
    conf.write_text(conf.read_text().replace(old, new))
    found = look(share)["a [scans]"]
    assert found.level is Level.WARNING
    assert words in found.found


def test_smb_conf_is_read_as_samba_reads_it():
    """Keys in any writing, continued lines, comments; [global] counts for every share."""
    text = "[Global]\nVeto Files = /a/\n# path = /x\n[One]\nPA TH = /one\\\n/two\n;no = 1\n[two]\nvetofiles=/b/\n"
    shares = shares_of(text)
    assert shares["one"] == {"vetofiles": "/a/", "path": "/one/two"}
    assert shares["two"] == {"vetofiles": "/b/"}


def test_a_machine_without_samba_is_no_finding(share):
    """No smb.conf, or no share of it that leads here: only group and log are looked at."""
    made, _, conf = share
    conf.write_text("[other]\npath = /nowhere\n[pathless]\n")
    assert set(look(share)) == {"a group", "a samba log"}
    conf.unlink()
    assert {each.subject for each in examine_share(made, smb_conf=conf)} == {"a group", "a samba log"}


@pytest.mark.parametrize("more", ["", snippet("yaml", 1)])
def test_the_configuration_of_the_document_is_one(tmp_path, more):
    """The folder as it is written, and with the keys for an inbox that is exported by NFS."""
    config = tmp_path / "srwatchd.yaml"
    config.write_text(snippet("yaml") + more)
    assert load(config).folders[0].source.samba_audit_log == Path("/var/log/samba-audit/log.*")
