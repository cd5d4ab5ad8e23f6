"""What a set of nodes sees alike: the current version of each resource, by type and name."""

import hashlib
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol, Self

from xds.cache.resource import Ref, Resource

Changes = Mapping[str, Mapping[str, Resource | None]]
"""By type URL and name: what was there before a change, None if nothing was."""

_NOTHING: Mapping[str, Resource] = MappingProxyType({})
_NO_REFS: frozenset[Ref] = frozenset()
_VERSION_BITS = 64


class Watcher(Protocol):
    """Somebody who is told of changes of a view, after they were made."""

    def changed(self, changes: Changes) -> None:
        """Take a change that was made; the new state is read from the view. It must not change the view."""
        ...


class Follower(Protocol):
    """Somebody who keeps a copy of a view."""

    def replaced(self, refs: Collection[Ref]) -> None:
        """Note that resources were replaced, if only by the same version with other origins."""
        ...


class View:
    """The resources that a set of nodes sees, and those who watch them.

    ``apply`` costs what changed, times the watchers.
    """

    def __init__(self) -> None:
        # By type URL and name. Written by ``_replace``, as is all that follows but ``_watchers`` and
        # ``_filling``.
        self._resources: dict[str, dict[str, Resource]] = {}
        # By type URL: the sum of the hashes of names and versions (``version``).
        self._version_sums: dict[str, int] = {}
        # The same as text, once it was asked for. Written by ``version``, cleared by changes.
        self._versions: dict[str, str] = {}
        # By type URL and alias: the names that go by it.
        self._aliases: dict[str, dict[str, tuple[str, ...]]] = {}
        # By resource: how many current resources require it.
        self._requirers: dict[Ref, int] = {}
        # By type URL and name of the warmed resource: the resource that warms it.
        self._warmed_by: dict[str, dict[str, Resource]] = {}
        # What readers made of the current content, by keys of theirs; emptied when anything is replaced.
        self.derived: dict[Hashable, object] = {}
        # Who is told of changes; a dict for its order. Written by ``watch`` and ``unwatch``.
        self._watchers: dict[Watcher, None] = {}
        # Who keeps a copy. Written by ``follow`` and ``unfollow``.
        self._followers: dict[Follower, None] = {}
        # What fills the view at first, part by part. Written by ``fill_by`` and ``fill``.
        self._filling: Iterator[object] | None = None
        # Counts the changes that watchers were told of. Written by ``apply``.
        self._generation = 0

    def get(self, ref: Ref) -> Resource | None:
        """Return the current version of a resource, None if there is none."""
        return self.lookup(ref.type_url, ref.name)

    def lookup(self, type_url: str, name: str) -> Resource | None:
        """Return the same as ``get``, for callers that have no ``Ref``."""
        return self._resources.get(type_url, _NOTHING).get(name)

    def named(self, ref: Ref) -> list[Resource]:
        """Return the resources with this name or alias; the one with this very name first."""
        of_type = self._resources.get(ref.type_url, _NOTHING)
        names = (ref.name, *self._aliases.get(ref.type_url, {}).get(ref.name, ()))
        return [of_type[name] for name in names if name in of_type]

    def find(self, ref: Ref) -> Resource | None:
        """Return the first of ``named``; None if there is none."""
        return next(iter(self.named(ref)), None)

    def has_aliases(self, type_url: str) -> bool:
        """Whether any resource of a type has, or ever had, an alias."""
        return type_url in self._aliases

    def requires(self, ref: Ref) -> bool:
        """Whether any current resource requires this one, be it there or not."""
        return ref in self._requirers

    def version_of(self, resource: Resource) -> str:
        """Return the version by which a client is to know a current resource.

        It is another one whenever what warms the resource has changed: so who got that, and lost the
        stream before this came again after it, does not pass as having it.
        """
        warming = self._warmed_by.get(resource.type_url, _NOTHING).get(resource.name)
        return f"{resource.version}-{warming.version}" if warming else resource.version

    def resources(self, type_url: str) -> Mapping[str, Resource]:
        """Return all current resources of a type, by name; a read-only view, live if there are any."""
        return MappingProxyType(self._resources.get(type_url, _NOTHING))

    @property
    def types(self) -> list[str]:
        """The types of which there is, or was, any resource."""
        return list(self._resources)

    def version(self, type_url: str) -> str:
        """Return the version of all resources of a type together: a hash of their names and versions.

        It is a sum of one hash per resource, so a change costs what changed, and any order of changes that
        ends in the same content ends in the same version.
        """
        # Nothing is kept of a type that only clients know: they may make up any number.
        if type_url not in self._version_sums:
            return _EMPTY_VERSION
        if type_url not in self._versions:
            self._versions[type_url] = _version(self._version_sums[type_url])
        return self._versions[type_url]

    def apply(self, put: Iterable[Resource] = (), drop: Iterable[Ref] = ()) -> None:
        """Set and remove resources, then tell the watchers once what was there before.

        A resource with the version of the current one is no change, unless it comes to be on demand; it takes
        the place of the current one without a word, as its origins may be others. Dropping one that is not
        there is no change either, nor is dropping and setting the same.
        """
        changes: dict[str, dict[str, Resource | None]] = {}
        replaced: dict[Ref, None] = {}
        for type_url, name in drop:
            if self._replace(type_url, name, None, changes) and self._followers:
                replaced[Ref(type_url, name)] = None
        for resource in put:
            if self._replace(resource.type_url, resource.name, resource, changes) and self._followers:
                replaced[resource.ref] = None
        remaining = self._without_returns(changes)
        if remaining:
            self._generation += 1
        if replaced:
            for follower in tuple(self._followers):
                follower.replaced(replaced.keys())
        if remaining:
            self._tell(remaining)

    def fill_by(self, parts: Iterator[object]) -> None:
        """Leave it to ``fill`` to put what the view has at first; ``parts`` does so, with pauses."""
        self._filling = parts

    def fill(self) -> Iterator[None]:
        """Go on until the view has what it is to have at first, with pauses. Several may do so side by side.

        Until then the view is to be watched, so that it is not forgotten, and not to be read.
        """
        while self._filling is not None:
            try:
                next(self._filling)
            except StopIteration:
                self._filling = None
            else:
                yield

    def filled(self) -> Self:
        """Return the view with what it is to have at first: ``fill`` without pauses."""
        for _ in self.fill():
            pass
        return self

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of every change from now on."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` no more."""
        self._watchers.pop(watcher, None)

    def follow(self, follower: Follower) -> None:
        """Tell ``follower`` of everything that is replaced from now on. The view counts as watched."""
        self._followers[follower] = None

    def unfollow(self, follower: Follower) -> None:
        """Tell ``follower`` no more."""
        self._followers.pop(follower, None)

    @property
    def generation(self) -> int:
        """How often the view has changed."""
        return self._generation

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers or self._followers)

    def _replace(
        self,
        type_url: str,
        name: str,
        now: Resource | None,
        changes: dict[str, dict[str, Resource | None]],
    ) -> bool:
        """Set or remove a resource; return whether anything is different now, of the same version or not."""
        of_type = self._resources.setdefault(type_url, {})
        before = of_type.get(name)
        if _same(before, now):
            if now and now is not before:
                self.derived.clear()
                of_type[name] = now  # a document may be renamed: the same version has other origins then
                self._index(before, now)
                return before is not None and _beside_version(before) != _beside_version(now)
            return False
        self.derived.clear()
        total = self._version_sums.get(type_url, 0)
        if before:
            total -= _fingerprint(before)
        if now:
            total += _fingerprint(now)
            of_type[name] = now
        else:
            del of_type[name]
        self._version_sums[type_url] = total % (1 << _VERSION_BITS)
        self._versions.pop(type_url, None)
        self._index(before, now)
        # A name changed twice in one call is one change, from the first state to the last.
        changes.setdefault(type_url, {}).setdefault(name, before)
        return True

    def _without_returns(self, changes: Changes) -> Changes:
        """Leave out what is again as it was before."""
        return {
            type_url: remaining
            for type_url, before in changes.items()
            if (
                remaining := {
                    name: was
                    for name, was in before.items()
                    if not _same(was, self._resources[type_url].get(name))
                }
            )
        }

    def _index(self, before: Resource | None, now: Resource | None) -> None:
        required = now.requires if now else _NO_REFS
        was_required = before.requires if before else _NO_REFS
        if required is not was_required and required != was_required:
            for ref in required - was_required:
                self._requirers[ref] = self._requirers.get(ref, 0) + 1
            for ref in was_required - required:
                self._requirers[ref] -= 1
                if not self._requirers[ref]:
                    del self._requirers[ref]
        if before and before.warms:
            type_url, name = before.warms
            if self._warmed_by[type_url].get(name) is before:
                del self._warmed_by[type_url][name]
        if now and now.warms:
            type_url, name = now.warms
            self._warmed_by.setdefault(type_url, {})[name] = now
        for resource in (before, now):
            if resource and resource.aliases:
                self._index_aliases(resource, added=resource is now)

    def _index_aliases(self, resource: Resource, *, added: bool) -> None:
        of_type = self._aliases.setdefault(resource.type_url, {})
        for alias in resource.aliases:
            others = tuple(name for name in of_type.get(alias, ()) if name != resource.name)
            if names := (*others, resource.name) if added else others:
                of_type[alias] = names
            else:
                of_type.pop(alias, None)

    def _tell(self, changes: Changes) -> None:
        for watcher in tuple(self._watchers):
            watcher.changed(changes)


def _same(one: Resource | None, other: Resource | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.version == other.version and one.on_demand == other.on_demand


def _beside_version(resource: Resource) -> tuple[Hashable, ...]:
    return resource.origins, resource.requires, resource.warms


def _version(total: int) -> str:
    return f"{total:016x}"


_EMPTY_VERSION = _version(0)


def _fingerprint(resource: Resource) -> int:
    key = f"{resource.name}\0{resource.version}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=_VERSION_BITS // 8).digest())
