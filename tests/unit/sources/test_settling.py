"""When what is seen of a file is its content: with a clock of the test's own."""

import pytest

from xds.sources.files.settling import (
    BLANK,
    CLOSED,
    MISSING,
    OPEN,
    UNKNOWN,
    FileContent,
    Seen,
    Settling,
    Unreadable,
)

SAVED = FileContent(b"a: 1", open_for_writing=False)


def look(settling: Settling, seen: Seen, now: float, *, accept_deletions: bool = True) -> list[Seen]:
    files = {} if seen is None else {"f.yaml": seen}
    return list(settling.look(files, now, accept_deletions=accept_deletions).values())


def known(content: FileContent = SAVED) -> Settling:
    settling = Settling()
    look(settling, content, 0)
    assert look(settling, content, OPEN) == [content]
    return settling


@pytest.mark.parametrize(
    ("seen", "patience"),
    [
        (FileContent(b"b: 2", open_for_writing=False), CLOSED),
        (FileContent(b"b: 2", open_for_writing=None), UNKNOWN),
        (FileContent(b"b: 2", open_for_writing=True), OPEN),
        (FileContent(b" \n", open_for_writing=False), BLANK),
        (FileContent(b"", open_for_writing=True), OPEN),
        (Unreadable("permission denied"), MISSING),
        (None, MISSING),
    ],
)
def test_a_change_is_believed_when_it_stays(seen: Seen, patience: float) -> None:
    settling = known()
    assert look(settling, seen, 100) == []
    assert look(settling, seen, 100 + patience * 0.9) == []
    assert settling.settles_in(100 + patience * 0.9) == pytest.approx(patience * 0.1)
    assert look(settling, seen, 100 + patience) == [seen]
    assert settling.settles_in(200) is None
    assert look(settling, seen, 300) == []


def test_content_that_keeps_changing_is_not_believed() -> None:
    settling = known()
    for step in range(100):
        growing = FileContent(b"b" * (step + 1), open_for_writing=False)
        assert look(settling, growing, 100 + step * CLOSED * 0.9) == []


def test_half_a_save_that_is_completed_is_never_seen() -> None:
    settling = known()
    whole = FileContent(b"a: 1\nb: 2", open_for_writing=False)
    assert look(settling, FileContent(b"", open_for_writing=True), 100) == []
    assert look(settling, FileContent(b"a: 1\n", open_for_writing=True), 100.5) == []
    assert look(settling, whole, 101) == []
    assert look(settling, whole, 101 + CLOSED) == [whole]


def test_a_file_away_for_a_moment_was_not_deleted() -> None:
    settling = known()
    assert look(settling, None, 100) == []
    assert look(settling, SAVED, 100.3) == []
    assert look(settling, None, 100.4) == []
    assert look(settling, None, 100.6) == []


def test_absence_that_may_not_be_believed_waits() -> None:
    settling = known()
    assert look(settling, None, 100, accept_deletions=False) == []
    assert look(settling, None, 200, accept_deletions=False) == []
    assert look(settling, None, 300) == []
    assert look(settling, None, 300 + MISSING) == [None]


def test_back_from_unreadable_to_the_same_content_is_news() -> None:
    settling = known()
    broken = Unreadable("permission denied")
    look(settling, broken, 100)
    assert look(settling, broken, 101) == [broken]
    look(settling, SAVED, 102)
    assert look(settling, SAVED, 103) == [SAVED]
