"""The file of the snapshot: what it gives back, and what it does with a file that it cannot use."""

import sqlite3
from pathlib import Path

import pytest
import structlog

from xds.cache import Ref, Resource
from xds.documents.identity import DocumentId, Origin
from xds.rules.instance import ServiceId
from xds.snapshot import SavedService, Snapshot, SnapshotStore

Services = SnapshotStore[Resource]
DOCUMENT = DocumentId("staging", "a.yaml")
ORIGIN = Origin(DOCUMENT, "r1")


def resource(name: str, body: bytes = b"body") -> Resource:
    return Resource.of("type", name, body, requires=frozenset({Ref("type", "other")}), origins=(ORIGIN,))


def good(*names: str) -> Snapshot[Resource]:
    return Snapshot(
        {ServiceId("", name): SavedService("inputs", resource(name)) for name in names},
        {DOCUMENT: b"service: a"},
        {"route modes": b"{}"},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "snapshot.sqlite"


@pytest.fixture
def store(path: Path) -> Services:
    return SnapshotStore(path, Resource)


def names(kept: Snapshot[Resource]) -> set[str]:
    return {service.name for service in kept.services}


def test_there_is_nothing_at_first(store: Services) -> None:
    assert store.load() == Snapshot()


def test_an_empty_file_holds_nothing(store: Services, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert store.load() == Snapshot()
    assert path.exists()


def test_what_was_written_is_read(store: Services, path: Path) -> None:
    store.save(good("reviews"))
    read = SnapshotStore(path, Resource).load()
    kept = read.services[ServiceId("", "reviews")]
    assert kept is not None
    assert kept.inputs == "inputs"
    again, before = kept.service, resource("reviews")
    assert [getattr(again, name) for name in Resource.__slots__] == [
        getattr(before, name) for name in Resource.__slots__
    ]
    assert read.documents == {DOCUMENT: b"service: a"}
    assert read.state == {"route modes": b"{}"}


def test_changes_replace_and_remove(store: Services) -> None:
    store.save(good("a", "b"))
    store.save(
        Snapshot(
            {ServiceId("", "a"): None, ServiceId("", "c"): SavedService("new", resource("c"))},
            {DOCUMENT: None},
        )
    )
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
        database.execute("UPDATE format SET name = 'grayplane snapshot 0'")
    assert_set_aside(store, path)


@pytest.mark.parametrize("size", [100, 5000])
def test_a_torn_file_is_set_aside(store: Services, path: Path, size: int) -> None:
    store.save(good(*map(str, range(100))))
    path.write_bytes(path.read_bytes()[:size])
    assert_set_aside(store, path)


def test_a_row_that_was_altered_is_found_by_its_digest(store: Services, path: Path) -> None:
    store.save(good("a", "b"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE service SET content = (SELECT content FROM service WHERE name = '/b')")
    assert_set_aside(store, path)


def test_garbage_is_set_aside(store: Services, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    assert_set_aside(store, path)


def test_a_place_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with structlog.testing.capture_logs() as logs:
        assert SnapshotStore(tmp_path / "directory", Resource).load() == Snapshot()
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_a_place_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        SnapshotStore(tmp_path / "directory", Resource).save(good("a"))


def assert_set_aside(store: Services, path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        assert store.load() == Snapshot()
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert path.with_name(path.name + ".damaged").exists()
    store.save(good("fresh"))
    assert names(store.load()) == {"fresh"}
