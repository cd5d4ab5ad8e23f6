"""The file of the last known good: what it gives back, and what it does with a file that it cannot use."""

import sqlite3
from pathlib import Path

import pytest
import structlog

from xds.cache import Ref, Resource
from xds.lastgood import Kept, LastGood, Store

Services = Store[Resource]


def resource(name: str, body: bytes = b"body") -> Resource:
    return Resource.of("type", name, body, requires=frozenset({Ref("type", "other")}), origins=("a.yaml",))


def good(*names: str) -> LastGood[Resource]:
    return LastGood({name: Kept("inputs", resource(name)) for name in names}, {"a.yaml": b"service: a"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "last-good.sqlite"


@pytest.fixture
def store(path: Path) -> Services:
    return Store(path, Resource)


def names(kept: LastGood[Resource]) -> set[str]:
    return set(kept.services)


def test_there_is_nothing_at_first(store: Services) -> None:
    assert store.load() == LastGood()


def test_an_empty_file_holds_nothing(store: Services, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert store.load() == LastGood()
    assert path.exists()


def test_what_was_written_is_read(store: Services, path: Path) -> None:
    store.save(good("reviews"))
    read = Store(path, Resource).load()
    kept = read.services["reviews"]
    assert kept is not None
    assert kept.inputs == "inputs"
    again, before = kept.service, resource("reviews")
    assert [getattr(again, name) for name in Resource.__slots__] == [
        getattr(before, name) for name in Resource.__slots__
    ]
    assert read.documents == {"a.yaml": b"service: a"}


def test_changes_replace_and_remove(store: Services) -> None:
    store.save(good("a", "b"))
    store.save(LastGood({"a": None, "c": Kept("new", resource("c"))}, {"a.yaml": None}))
    read = store.load()
    assert names(read) == {"b", "c"}
    assert read.documents == {}


def test_a_file_of_another_program_is_set_aside(store: Services, path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE service (name TEXT)")
    assert_set_aside(store, path)


def test_an_old_format_is_set_aside(store: Services, path: Path) -> None:
    store.save(good("a"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE format SET name = 'grayplane last known good 0'")
    assert_set_aside(store, path)


@pytest.mark.parametrize("size", [100, 5000])
def test_a_torn_file_is_set_aside(store: Services, path: Path, size: int) -> None:
    store.save(good(*map(str, range(100))))
    path.write_bytes(path.read_bytes()[:size])
    assert_set_aside(store, path)


def test_a_row_that_was_altered_is_found_by_its_digest(store: Services, path: Path) -> None:
    store.save(good("a", "b"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE service SET content = (SELECT content FROM service WHERE name = 'b')")
    assert_set_aside(store, path)


def test_garbage_is_set_aside(store: Services, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    assert_set_aside(store, path)


def test_a_place_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with structlog.testing.capture_logs() as logs:
        assert Store(tmp_path / "directory", Resource).load() == LastGood()
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_a_place_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        Store(tmp_path / "directory", Resource).save(good("a"))


def assert_set_aside(store: Services, path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        assert store.load() == LastGood()
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert path.with_name(path.name + ".damaged").exists()
    store.save(good("fresh"))
    assert names(store.load()) == {"fresh"}
