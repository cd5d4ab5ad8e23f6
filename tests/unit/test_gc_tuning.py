"""When Python looks for reference cycles."""

import gc
from collections.abc import Iterator

import pytest

from xds import gc_tuning


@pytest.fixture
def our_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gc_tuning._PAUSES, "allowed", True)
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("our_process")
def test_nobody_looks_while_one_of_several_pauses_lasts() -> None:
    one, other = gc_tuning.paused(), gc_tuning.paused()
    with one:
        assert not gc.isenabled()
        other.__enter__()
    assert not gc.isenabled()
    other.__exit__(None, None, None)
    assert gc.isenabled()


@pytest.mark.usefixtures("our_process")
def test_what_was_made_meanwhile_is_not_looked_at_again() -> None:
    with gc_tuning.paused():
        made = [[number] for number in range(1_000)]
    assert gc.get_freeze_count() >= len(made)


@pytest.mark.usefixtures("our_process")
def test_a_failure_ends_a_pause() -> None:
    with pytest.raises(ValueError, match="broken"), gc_tuning.paused():
        raise ValueError("broken")
    assert gc.isenabled()


def test_the_process_of_a_user_of_the_library_looks_as_it_wants() -> None:
    frozen = gc.get_freeze_count()
    with gc_tuning.paused():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
