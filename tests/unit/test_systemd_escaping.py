from __future__ import annotations

import pytest

from srwatchd.errors import ConfigurationError
from srwatchd.systemd.escaping import command_word, listed_path, mount_unit


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", "-.mount"),
        ("/mnt/share", "mnt-share.mount"),
        ("//mnt/./share/", "mnt-share.mount"),
        ("/mnt/my share", "mnt-my\\x20share.mount"),
        ("/mnt/a-b", "mnt-a\\x2db.mount"),
        ("/.hidden/x", "\\x2ehidden-x.mount"),
        ("/mnt/.x_y:z", "mnt-.x_y:z.mount"),
        ("/mnt/Bücher", "mnt-B\\xc3\\xbccher.mount"),
        ("/mnt/50%\\x", "mnt-50\\x25\\x5cx.mount"),
    ],
)
def test_units_of_mounts_have_systemds_names(path: str, unit: str) -> None:
    """As systemd-escape --path --suffix=mount gives them (compared with it in the integration tests)."""
    assert mount_unit(path) == unit


def test_a_name_that_systemd_cannot_have_is_refused() -> None:
    """255 bytes with the escapes."""
    with pytest.raises(ConfigurationError, match="longer than 255 bytes"):
        mount_unit("/mnt/" + "ü" * 80)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/srv/in", "/srv/in"),
        ("/srv/back\\slash", "/srv/back\\slash"),
        ("/srv/50%", "/srv/50%%"),
        ("/srv/two words", "'/srv/two words'"),
        ('/srv/"quoted"', "'/srv/\"quoted\"'"),
        ("/srv/it's", "'/srv/it'\"'\"'s'"),
    ],
)
def test_a_path_in_a_list(path: str, written: str) -> None:
    """Quoted where it must be; a backslash stands for itself, a percent sign is doubled."""
    assert listed_path(path) == written


@pytest.mark.parametrize("path", ["/srv/a\nb", "/srv/a\x1bb", "/srv/\udcff"])
def test_what_a_unit_file_cannot_hold_is_refused(path: str) -> None:
    """A line break, a control character and what is not UTF-8: with the path, escaped."""
    for write in (listed_path, command_word):
        with pytest.raises(ConfigurationError, match="cannot be written in a unit file"):
            write(path)


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/etc/a.yaml", "/etc/a.yaml"),
        ("/etc/two words", '"/etc/two words"'),
        ("/etc/$HOME%i\\x", "/etc/$$HOME%%i\\\\x"),
        ('/etc/"', '"/etc/\\""'),
    ],
)
def test_a_word_of_a_command(word: str, written: str) -> None:
    """Neither quotes nor variables nor specifiers are taken for what they look like."""
    assert command_word(word) == written
