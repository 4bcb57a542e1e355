"""What is read out of Samba's audit log, and what a client can not make it say."""

from __future__ import annotations

import time

import pytest

from srwatchd.intake.samba import Deed, Splitter, Trails, Visitor, last_time

ROOT = "/srv/scans/in"
ANNA, BERT = Visitor("anna", "10.0.0.1"), Visitor("bert", "10.0.0.2")
SECOND = 1_000_000_000
NOON = 1_790_000_000


def header(at=float(NOON), function="vfs_full_audit.c:643(do_log)"):
    whole, fraction = divmod(round(at * 1_000_000), 1_000_000)
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(whole))
    return f"[{stamp}.{fraction:06},  1] ../../source3/modules/{function}\n".encode()


def entry(*fields, who=ANNA, at=float(NOON), called="ANNA"):
    prefix = ("srw", called, who.user, who.address, "pc", "scans")
    parts = [each if isinstance(each, bytes) else str(each).encode() for each in (*prefix, *fields)]
    return header(at) + b"  " + b"|".join(parts) + b"\n"


def opened(name, *, mask="0x12019f", how="overwrite_if", **rest):
    path = name if isinstance(name, bytes) else f"{ROOT}/{name}".encode()
    return entry("create_file", "ok", mask, "file", how, path, **rest)


def done(operation, *names, **rest):
    return entry(operation, "ok", *(f"{ROOT}/{name}" for name in names), **rest)


def lines(data, *, cut=False):
    return list(Splitter(cut=cut).feed(data, end=True))


def trails(*data, **limits):
    found = Trails([ROOT], **limits)
    found.take_all(lines(b"".join(data)))
    return found


def after(seconds):
    return NOON * SECOND + round(seconds * SECOND)


# -- lines ---------------------------------------------------------------------------------------------------------


def test_an_entry_is_read_as_smbd_writes_it():
    """Time, authenticated user, address, deed and path; not the name that the client gave itself."""
    (line,) = lines(opened("sub/a.png", called="boss", at=NOON + 0.25))
    assert (line.deed, line.visitor, line.path) == (Deed.OPENED, ANNA, f"{ROOT}/sub/a.png")
    assert line.at_ns == after(0.25)


@pytest.mark.parametrize(
    ("mask", "how", "writes"),
    [
        ("0x12019f", "open", True),
        ("0xc0010000", "open", True),
        ("0x2000000", "open_if", True),
        ("0x4", "open", True),
        ("0x120089", "open", False),
        ("0x10080", "open_if", False),
        ("0x80", "create", True),
        ("garbage", "open", False),
    ],
)
def test_only_an_opening_for_writing_counts(mask, how, writes):
    """Reading, listing and deleting a file say nothing about who wrote it."""
    assert bool(lines(opened("a", mask=mask, how=how))) is writes


@pytest.mark.parametrize(
    "data",
    [
        entry("create_file", "fail (Permission denied)", "0x2", "file", "open", f"{ROOT}/a"),
        entry("create_file", "ok", "0x2"),
        entry("connect", "ok", "scans"),
        entry("close", "ok", f"{ROOT}/a", who=Visitor("", "10.0.0.1")),
        entry("close", "ok", f"{ROOT}/a", who=Visitor("u" * 300, "10.0.0.1")),
        entry("close", "ok", f"{ROOT}/a", who=Visitor("anna", "nowhere")),
        entry("close", "ok", f"{ROOT}/a").replace(b"/", b"x", 1),
        b"  srw|anna|anna|10.0.0.1|pc|scans|close|ok|/srv/scans/in/a\n",
        header(function="smbd.c:1(main)") + entry("close", "ok", f"{ROOT}/a").partition(b"\n")[2],
        b"[9999/99/99 99:99:99,  1] vfs_full_audit.c:1(do_log)\n  srw|a|a|10.0.0.1|p|s|close|ok|/x\n",
        b"\0\xff\n\n[\n  srw|\n",
    ],
)
def test_what_is_no_whole_entry_is_passed_over(data):
    """Failures, other operations, strange users and addresses, lines without their header, garbage."""
    assert lines(data) == []


def test_a_line_break_in_a_name_forges_nothing():
    """The indentation of what follows a break tells: neither the forged entry nor the torn true one counts."""
    forged = b"x\n  " + header(NOON) + b"    srw|boss|boss|10.9.9.9|pc|scans|close|ok|/srv/scans/in/a"
    assert lines(opened(f"{ROOT}/".encode() + forged)) == []
    simple = b"x\n  srw|boss|boss|10.9.9.9|pc|scans|close|ok|/srv/scans/in/a"
    assert lines(opened(f"{ROOT}/".encode() + simple)) == []


def test_a_cut_piece_forges_nothing():
    """Reading that begins in the middle of a name never takes the rest of the name for a header."""
    data = header()[:-1] + b"\n  srw|boss|boss|10.9.9.9|pc|scans|close|ok|/srv/scans/in/a\n" + opened("b")
    assert [line.path for line in lines(data, cut=True)] == [f"{ROOT}/b"]


def test_pieces_make_the_same_as_the_whole():
    """However the log is cut into pieces, the same deeds come out; a torn last line waits for its end."""
    data = opened("a") + done("pwrite_recv", "a") + b"noise\n" + done("close", "a")
    for size in (1, 7, 100):
        splitter, found = Splitter(), []
        for start in range(0, len(data), size):
            found += splitter.feed(data[start : start + size], end=False)
        found += splitter.feed(b"", end=True)
        assert found == lines(data)
    splitter = Splitter()
    assert list(splitter.feed(data[:-4], end=True)) == lines(data)[:1]
    assert list(splitter.feed(data[-4:], end=True)) == lines(data)[1:]


def test_an_endless_line_costs_no_memory():
    """A line without an end is thrown away, and the entry after it is read."""
    splitter = Splitter()
    for _ in range(100):
        assert not list(splitter.feed(b"x" * 4096, end=True))
    assert len(splitter._rest) <= 32 << 10
    assert len(list(splitter.feed(b"\n" + opened("a"), end=True))) == 1


def test_names_of_any_bytes_come_through():
    """Bars end a line whole, and bytes that are not UTF-8 become the surrogates that a scan gives, too."""
    (line,) = lines(opened(f"{ROOT}/a|b ".encode() + b"\xff.png"))
    assert line.path == f"{ROOT}/a|b \udcff.png"


def test_the_time_of_the_last_message_is_known_whatever_it_is_about():
    """So that another time zone can be told from an old log."""
    assert last_time(opened("a") + header(NOON + 7.0, "smbd.c:1(main)") + b"  x\n") == NOON + 7
    assert last_time(b"  [2026/01/01 00:00:00, 1]\nnothing") is None


# -- who -----------------------------------------------------------------------------------------------------------


def test_the_last_logged_change_must_explain_the_ctime():
    """Made by Anna; a file changed later by another way in, or older than the entry, is not hers."""
    found = trails(opened("a"), done("pwrite_recv", "a", at=NOON + 30.0), done("close", "a", at=NOON + 40.0))
    assert [found.who("a", after(seconds)) for seconds in (0.1, 29.5, 30.1, 40.0)] == [ANNA] * 4
    assert [found.who("a", after(seconds)) for seconds in (-1.0, 15.0, 36.0, 43.0, 3600.0)] == [None] * 5
    assert found.who("b", after(0)) is None


def test_a_listing_does_not_prolong_anything():
    """Only the first close after a change can be the writer's: listing a folder closes every file in it."""
    found = trails(opened("a"), done("close", "a", at=NOON + 1.0), done("close", "a", at=NOON + 60.0))
    assert found.who("a", after(60)) is None
    found = trails(opened("a"), done("close", "a", who=BERT, at=NOON + 60.0))
    assert found.who("a", after(60)) is None


def test_whoever_changed_it_last_is_named():
    """Of several writers the one by whom the last change is explained; opening for writing alone takes nothing over."""
    found = trails(opened("a"), opened("a", who=BERT, how="open", at=NOON + 60.0))
    assert found.who("a", after(0.5)) == ANNA
    assert found.who("a", after(60.5)) == BERT
    found = trails(opened("a"), done("pwrite_recv", "a", who=BERT, at=NOON + 9.0))
    assert found.who("a", after(9.0)) == BERT


def test_a_rename_takes_the_name_along():
    """Temporary name to final name, over another file, in from outside, and out of the inbox."""
    found = trails(opened("t.part"), done("renameat", "t.part", "a.png", at=NOON + 5.0))
    assert (found.who("a.png", after(5)), found.who("t.part", after(0))) == (ANNA, None)
    found = trails(
        opened("a", who=BERT), opened("t", at=NOON + 9.0), entry("renameat", "ok", f"{ROOT}/t|{ROOT}/a", at=NOON + 9.1)
    )
    assert found.who("a", after(9.1)) == ANNA
    assert found.who("a", after(0)) is None
    assert trails(entry("renameat", "ok", f"/srv/other/a|{ROOT}/a")).who("a", after(0)) == ANNA
    assert len(trails(opened("a"), entry("renameat", "ok", f"{ROOT}/a|/srv/other/a"))) == 0


def test_whoever_renames_another_ones_file_is_named():
    """The change that the ctime tells of is the rename."""
    found = trails(opened("a"), done("renameat", "a", "b", who=BERT, at=NOON + 60.0))
    assert found.who("b", after(60)) == BERT


def test_a_rename_that_can_be_read_in_two_ways_is_nobodys():
    """A name with a bar and a slash makes it ambiguous: what may be meant is forgotten, and nothing is learnt."""
    found = trails(opened("a"), opened("c"), entry("renameat", "ok", f"{ROOT}/a|{ROOT}/b|{ROOT}/c", at=NOON + 60.0))
    assert len(found) == 0
    assert trails(opened("a|b"), done("renameat", "a|b", "c|d")).who("c|d", after(0)) == ANNA


def test_a_folder_takes_its_files_along():
    """A file keeps its ctime when its folder is renamed, and its story."""
    made = entry("create_file", "ok", "0x80", "dir", "create", f"{ROOT}/job.tmp")
    moves = (done("renameat", "job.tmp", "job.new"), done("renameat", "job.new", "job", at=NOON + 60.0))
    found = trails(made, opened("job.tmp/x/a"), opened("job.tmpb"), *moves)
    assert found.who("job/x/a", after(0)) == ANNA
    assert found.who("job.tmpb", after(0)) == ANNA
    assert found.who("job.tmp/x/a", after(0)) is None


def test_what_is_removed_or_taken_is_forgotten():
    """A later file of the same name, dropped by another way in, is not the earlier one's."""
    assert len(trails(opened("a"), done("unlinkat", "a"))) == 0
    found = trails(opened("a"))
    found.forget("a")
    assert found.who("a", after(0)) is None


def test_nothing_outside_the_inbox_is_remembered():
    """Other shares in the same log, parents, and ways out of it."""
    outside = [b"/srv/scans/in", b"/srv/scans/inner/a", b"a", f"{ROOT}/../b".encode(), f"{ROOT}/".encode()]
    assert len(trails(*map(opened, outside))) == 0


def test_memory_is_bounded():
    """A flood of names forgets the oldest ones, and a flood of renamed folders everything; nothing becomes wrong."""
    found = trails(*(opened(f"{number:0200}") for number in range(50)), most_bytes=8000)
    assert 0 < len(found) <= 10
    assert found.who(f"{49:0200}", after(0)) == ANNA
    assert found.who(f"{0:0200}", after(0)) is None
    moves = [done("renameat", f"no{number}", f"d{number}", at=NOON + 60.0) for number in range(100)]
    assert trails(opened("a"), *moves, most_visits=50).who("a", after(0)) is None
