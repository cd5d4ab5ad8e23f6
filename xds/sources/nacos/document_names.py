"""Which names in the group of rules are documents of ours, and which somebody may take for one."""

from collections.abc import Callable, Iterable

import structlog

from xds.documents import is_encrypted, kind_of

_ENDINGS = ".yaml, .yml or .json, that of a list in .list"

_log = structlog.get_logger("xds.sources.nacos")


class DocumentNames:
    """Tells the names of documents from others, which are left alone.

    ``report`` is told of a name why an encrypted document is not read, and None when it is gone.
    """

    def __init__(self, report: Callable[[str, str | None], None], *, reads_encrypted: bool) -> None:
        self._report = report
        self._reads_encrypted = reads_encrypted
        # Names that are no documents of ours, each told once. Written by `is_ours`.
        self._foreign: set[str] = set()
        # By name, why it is not read though somebody may mean it to be. Written by `ours_of`.
        self.ignored: dict[str, str] = {}

    def is_ours(self, name: str) -> bool:
        """Whether a document of this name is read."""
        if self._is_unreadable(name):
            return False
        if kind_of(name) is not None:
            return True
        if name not in self._foreign:
            self._foreign.add(name)
            _log.info(
                "not a rule document, left alone",
                document=name,
                hint="rules end in .yaml, .yml or .json, lists in .list",
            )
        return False

    def ours_of(self, names: Iterable[str]) -> set[str]:
        """Return which of all the names that there are now are documents of ours."""
        listed = set(names)
        ours = {name for name in listed if self.is_ours(name)}
        before, self.ignored = self.ignored, self._ignored_of(listed - ours)
        for name in before.keys() | self.ignored.keys():
            if self._is_unreadable(name):
                self._report(name, self.ignored.get(name))
        return ours

    def _ignored_of(self, names: Iterable[str]) -> dict[str, str]:
        # A name with another ending, such as README.md, is meant for others.
        return {name: self._why(name) for name in names if self._is_unreadable(name) or "." not in name}

    def _is_unreadable(self, name: str) -> bool:
        return is_encrypted(name) and not self._reads_encrypted

    def _why(self, name: str) -> str:
        if self._is_unreadable(name):
            return f"{name} is encrypted and is not read: set nacos.decryption, or store it unencrypted"
        return f"{name} is not read: the name of a rule document ends in {_ENDINGS}"
