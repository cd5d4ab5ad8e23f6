"""Where the states of rollouts are kept: texts by name, written by compare-and-set."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote

_SUFFIX = ".json"


class StoredText(NamedTuple):
    """A text, and the version that a compare-and-set must name to replace it."""

    text: str
    version: str


class StoreError(Exception):
    """The store cannot be reached, or refuses; the text says why."""


class StoreConflictError(StoreError):
    """Somebody else wrote first: what is there has another version."""


class Store(Protocol):
    """Keeps texts by name. A write is kept when it returns, whatever happens to the process after that."""

    async def read(self, name: str) -> StoredText | None:
        """Return what is there. Raise ``StoreError``."""
        ...

    async def write(self, name: str, text: str, version: str | None) -> str:
        """Replace what has this version (None: nothing is there); return the new version.

        Raise ``StoreConflictError`` if something else is there, ``StoreError`` if it cannot be kept.
        """
        ...


class FileStore:
    """One file each in a directory that belongs to one process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    async def names(self) -> Iterable[str]:
        """Return the names of all that is kept. Raise ``StoreError``."""
        return await asyncio.to_thread(self._names)

    async def read(self, name: str) -> StoredText | None:
        """Return what is there (``Store``)."""
        return await asyncio.to_thread(self._read, name)

    async def write(self, name: str, text: str, version: str | None) -> str:
        """Replace what has this version (``Store``)."""
        return await asyncio.to_thread(self._compare_and_set, name, text, version)

    async def copy(self, name: str, text: str) -> None:
        """Replace whatever is there. Raise ``StoreError``."""
        await asyncio.to_thread(self._copy, name, text)

    def _names(self) -> list[str]:
        try:
            files = sorted(self._directory.glob(f"*{_SUFFIX}"))
        except OSError as error:
            raise StoreError(f"{self._directory}: {error.strerror}") from error
        return [unquote(file.name.removesuffix(_SUFFIX)) for file in files]

    def _path(self, name: str) -> Path:
        return self._directory / f"{quote(name, safe='')}{_SUFFIX}"

    def _read(self, name: str) -> StoredText | None:
        try:
            text = self._path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{self._path(name)}: {error}") from error
        return StoredText(text, _version(text))

    def _compare_and_set(self, name: str, text: str, version: str | None) -> str:
        with self._lock:
            there = self._read(name)
            if (there.version if there else None) != version:
                raise StoreConflictError(f"{self._path(name)} was written by somebody else")
            self._write(self._path(name), text)
        return _version(text)

    def _copy(self, name: str, text: str) -> None:
        with self._lock:
            self._write(self._path(name), text)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        beside = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sync_directory(path.parent)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    """Have the new name of a file outlast a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
