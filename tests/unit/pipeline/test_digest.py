"""What an earlier run compiled counts only for the same inputs and the same program."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xds.code_digest import code_digest
from xds.pipeline.digest import inputs_digest


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand-in for the folder of the program."""
    (tmp_path / "compiler" / "inner").mkdir(parents=True)
    (tmp_path / "compiler" / "inner" / "clusters.py").write_text("ONE = 1\n")
    (tmp_path / "cache.py").write_text("TWO = 2\n")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    code_digest.cache_clear()
    yield tmp_path
    code_digest.cache_clear()


def _edit(program: Path) -> None:
    (program / "cache.py").write_text("TWO = 3\n")


def _edit_far_below(program: Path) -> None:
    (program / "compiler" / "inner" / "clusters.py").write_text("ONE = 2\n")


def _add(program: Path) -> None:
    (program / "compiler" / "new.py").write_text("")


def _rename(program: Path) -> None:
    (program / "cache.py").rename(program / "store.py")


@pytest.mark.parametrize("change", [_edit, _edit_far_below, _add, _rename])
def test_another_program_gives_another_digest(program: Path, change: Callable[[Path], None]) -> None:
    before = inputs_digest("reviews")
    change(program)
    code_digest.cache_clear()
    assert inputs_digest("reviews") != before


def test_another_version_of_a_library_gives_another_digest(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = inputs_digest("reviews")
    monkeypatch.setattr("importlib.metadata.version", lambda library: f"another {library}")
    code_digest.cache_clear()
    assert inputs_digest("reviews") != before


def test_the_same_inputs_and_program_give_the_same_digest(program: Path) -> None:
    before = inputs_digest("reviews", {"weight": 5})
    (program / "notes.txt").write_text("no part of the program")
    code_digest.cache_clear()
    assert inputs_digest("reviews", {"weight": 5}) == before
    assert inputs_digest("reviews", {"weight": 6}) != before
