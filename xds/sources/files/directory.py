"""Looking into a directory: blocking calls, made in a worker thread."""

import errno
import os
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xds.documents import kind_of
from xds.sources.files.settling import FileContent, Unreadable

if sys.platform == "linux":
    import fcntl
    import signal

READ_LIMIT = (10 << 20) + 1
"""Bytes read of one file: one more than any document may have, so that its parser can say so."""

_FRESH = 2.0
"""Seconds after a change within which a file's times cannot prove that it did not change again."""


@dataclass(frozen=True, slots=True)
class Look:
    """The documents in a directory at one moment. ``lost``: why it could not be read, and then no files."""

    files: Mapping[str, FileContent | Unreadable]
    misnamed: tuple[str, ...] = ()
    identity: tuple[int, int] | None = None
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class _Remembered:
    signature: tuple[int, ...]
    read_at: float
    content: FileContent


def is_document(name: str) -> bool:
    """Whether a file of this name is meant for us; editors' backup, lock and swap files are not."""
    return kind_of(name) is not None and not name.startswith((".", "#", "~"))


class Directory:
    """One directory of documents.

    A look costs one ``stat`` a file; a file is read again only when its times or size changed, or when they
    changed too recently to tell.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # What was read last, by name. Written by ``look`` and ``_read``.
        self._remembered: dict[str, _Remembered] = {}

    def look(self) -> Look:
        """Return what is there now. It raises nothing, whatever the file system holds."""
        try:
            with os.scandir(self.path) as entries:
                names = sorted(entry.name for entry in entries)
            at = self.path.stat()
        except OSError as error:
            return Look({}, lost=f"{self.path}: {_reason(error)}")
        documents = [name for name in names if is_document(name)]
        files: dict[str, FileContent | Unreadable] = {}
        for name in documents:
            if name.isprintable():
                files[name] = self._read(name)
        self._remembered = {name: kept for name, kept in self._remembered.items() if name in files}
        misnamed = tuple(repr(os.fsencode(name)) for name in documents if not name.isprintable())
        return Look(files, misnamed, (at.st_dev, at.st_ino))

    def _read(self, name: str) -> FileContent | Unreadable:
        path = self.path / name
        kept = self._remembered.pop(name, None)
        try:
            now = time.time()
            status = path.stat()
            signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if kept and kept.signature == signature and kept.read_at - status.st_ctime > _FRESH:
                self._remembered[name] = kept
                return kept.content
            if not stat.S_ISREG(status.st_mode):
                return Unreadable(f"{path}: not a file")
            # The name may have become a pipe since: opening that must not wait for a writer.
            with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
                content = FileContent(file.read(READ_LIMIT), _open_for_writing(file.fileno()))
        except OSError as error:
            return Unreadable(f"{path}: {_reason(error)}")
        if not content.open_for_writing:
            self._remembered[name] = _Remembered(signature, now, content)
        return content


def _reason(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "permission denied; let the user that runs Grayplane read it"
    return (error.strerror or str(error)).lower()


def _open_for_writing(descriptor: int) -> bool | None:
    """Whether any process has the file open for writing; None where the system does not tell.

    Linux grants a read lease only when none has (fcntl(2), F_SETLEASE); the lease is given back at once.
    """
    if sys.platform != "linux":
        return None
    try:
        # Should someone open it to write in between, the kernel signals the holder of the lease and lets
        # the opener wait for our release. Its default signal would end this process; SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        # Not the owner of the file, or a file system without leases.
        return None
    return False
