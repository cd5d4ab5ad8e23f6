"""The file that the snapshot is kept in: an SQLite database, each row with a digest of its own."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog

from xds import gc_tuning
from xds.documents.identity import DocumentId, decode_origin
from xds.rules.instance import ServiceId

_log = structlog.get_logger(__name__)

# Changes whenever a row would be read otherwise than it was written: a file of another format is not read.
_FORMAT = "grayplane snapshot 3"

_COLUMNS = "(name TEXT PRIMARY KEY, digest BLOB NOT NULL, content BLOB NOT NULL)"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS format (name TEXT NOT NULL)",
    f"CREATE TABLE IF NOT EXISTS service {_COLUMNS}",
    f"CREATE TABLE IF NOT EXISTS document {_COLUMNS}",
    f"CREATE TABLE IF NOT EXISTS state {_COLUMNS}",
)

_MAX_BYTES = 1 << 30
_PAGE_BYTES = 4096

ServiceT = TypeVar("ServiceT")
_Name = TypeVar("_Name", ServiceId, DocumentId)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SavedService(Generic[ServiceT]):
    """A compiled service and the digest of what it was compiled from."""

    inputs: str
    service: ServiceT


@dataclass(slots=True)
class Snapshot(Generic[ServiceT]):
    """What is kept; in a change, None stands for what is gone.

    ``services`` are compiled services. ``documents`` are the last valid texts. ``state`` is what other parts
    keep over restarts, by their names.
    """

    services: dict[ServiceId, SavedService[ServiceT] | None] = field(default_factory=dict)
    documents: dict[DocumentId, bytes | None] = field(default_factory=dict)
    state: dict[str, bytes | None] = field(default_factory=dict)

    def absorb(self, later: "Snapshot[ServiceT]") -> None:
        """Merge later changes into these."""
        self.services |= later.services
        self.documents |= later.documents
        self.state |= later.state


class _DamagedError(Exception):
    """The file is not what was written."""


class SnapshotStore(Generic[ServiceT]):
    """Reads and writes the file; blocking, for one thread at a time.

    Writes are transactions: a crash leaves the state before or after one. A file that cannot be read whole
    is set aside beside the new one, with ``.damaged`` added to its name: serving part of it would take the
    rest away from proxies that have it. ``service_type`` is the type of the services, as msgspec decodes it.
    """

    def __init__(self, path: Path, service_type: type[ServiceT]) -> None:
        self._path = path
        self._decoder = msgspec.msgpack.Decoder(
            SavedService[service_type],  # type: ignore[valid-type]  # a type that is a value
            dec_hook=decode_origin,
        )
        self._encoder = msgspec.msgpack.Encoder()

    def load(self) -> Snapshot[ServiceT]:
        """Read everything; nothing if there is no file, or none that can be used."""
        if not self._path.exists():
            return Snapshot()
        try:
            with closing(self._connect()) as database, gc_tuning.paused():
                return self._read(database)
        except sqlite3.OperationalError as error:  # not the file's fault: no permission, locked, disk gone
            _log.warning("the snapshot cannot be read", file=str(self._path), reason=str(error))
        except (sqlite3.Error, _DamagedError, msgspec.DecodeError) as error:
            self._set_aside(error)
        return Snapshot()

    def save(self, changes: Snapshot[ServiceT]) -> None:
        """Write changes, all or none. Raise ``OSError`` if they cannot be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(self._connect()) as database, database:
                database.execute("BEGIN IMMEDIATE")  # tables and their format are there together, or neither
                for statement in _SCHEMA:
                    database.execute(statement)
                if database.execute("SELECT count(*) FROM format").fetchone() == (0,):
                    database.execute("INSERT INTO format VALUES (?)", (_FORMAT,))
                _write(database, "service", _keyed(changes.services), self._encoder.encode)
                _write(database, "document", _keyed(changes.documents), bytes)
                _write(database, "state", changes.state, bytes)
        except sqlite3.Error as error:
            raise OSError(f"{self._path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA max_page_count = {_MAX_BYTES // _PAGE_BYTES}")
        return database

    def _read(self, database: sqlite3.Connection) -> Snapshot[ServiceT]:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return Snapshot()
        formats = database.execute("SELECT name FROM format").fetchall() if "format" in tables else []
        if formats != [(_FORMAT,)]:
            raise _DamagedError(f"its format is {formats or 'unknown'}, not {_FORMAT!r}")
        return Snapshot(
            {
                ServiceId(*_parts(key)): self._decoder.decode(content)
                for key, content in _rows(database, "service")
            },
            {DocumentId(*_parts(key)): text for key, text in _rows(database, "document")},
            dict(_rows(database, "state")),
        )

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(self._path.name + ".damaged")
        self._path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        _log.warning("the snapshot cannot be used and was set aside", file=str(aside), reason=str(error))


def _keyed(changes: Mapping[_Name, _T]) -> dict[str, _T]:
    return {
        "/".join(name): content for name, content in changes.items()
    }  # no namespace has a slash; names may


def _parts(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def _rows(database: sqlite3.Connection, table: str) -> Iterator[tuple[str, bytes]]:
    for name, digest, content in database.execute(f"SELECT name, digest, content FROM {table}"):  # noqa: S608
        if digest != _digest(name, content):
            raise _DamagedError(f"the {table} {name!r} is not as it was written")
        yield name, content


def _write(
    database: sqlite3.Connection, table: str, changes: Mapping[str, _T | None], encode: Callable[[_T], bytes]
) -> None:
    gone = [(name,) for name, content in changes.items() if content is None]
    database.executemany(f"DELETE FROM {table} WHERE name = ?", gone)  # noqa: S608
    # Row by row: SQLite lets go of Python's lock for each, so that the event loop never waits long for it.
    rows = (
        (name, _digest(name, encoded), encoded)
        for name, content in changes.items()
        if content is not None
        for encoded in [encode(content)]
    )
    database.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16, key=name.encode()[:64]).digest()
