"""Staged pushes: a changed service goes to some nodes first, and to the others when these have it.

A push begins with a new version of a service. It is served to cohort 0 at once; the cohorts after it are
served the version before. When all nodes of a cohort have the new version, and the soak time of its stage has
passed, the next cohort gets it. When all have it, the push is over. If the version is quarantined meanwhile,
cohort 0 gets the version before back, and the push is over, too. A new version begins a push of its own.

No I/O, no clock. The versions of services without a document are not staged.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from xds.pipeline.served_versions import InstancesIn, Version
from xds.pipeline.suspects import Key
from xds.rules.instance import ServiceId
from xds.views import CompiledService


@dataclass(slots=True)
class _Push:
    """One push: ``before`` is the version that it replaces, ``reached`` the last cohort with the new one."""

    before: Version | None
    # What tells the new version from others.
    key: Key
    reached: int = 0
    # Since when all nodes up to ``reached`` have it, in seconds since the epoch; None: some have not.
    since: float | None = None


class StagedPushes:
    """The pushes that are under way. ``soaks`` has the soak time of each cohort but the last, in seconds."""

    def __init__(self, soaks: Sequence[float]) -> None:
        self._soaks = tuple(soaks)
        # Pushes begin once the services are what the source says. Written by ``begin``.
        self._begun = False
        # By service. Written by ``offer``, ``resume`` and ``advance``.
        self._pushes: dict[ServiceId, _Push] = {}
        # What cohort 0 is served. Written by ``offer``.
        self._first: dict[ServiceId, Version] = {}

    @property
    def cohorts(self) -> range:
        """All cohorts there may be."""
        return range(len(self._soaks) + 1)

    @property
    def staged(self) -> Set[ServiceId]:
        """The services that are pushed."""
        return self._pushes.keys()

    def begin(self) -> None:
        """Push what changes from now on in stages."""
        self._begun = True

    def resume(self, service: ServiceId, before: Version, key: Key, reached: int) -> None:
        """Go on with a push of the run before; the new version is to be offered next."""
        if len(self._soaks):
            self._pushes[service] = _Push(before, key, min(reached, len(self._soaks)))

    def under_way(self, service: ServiceId) -> tuple[Version, Key, int] | None:
        """Return what is served instead of which version to the cohorts after which; None: all are alike."""
        push = self._pushes.get(service)
        return (push.before, push.key, push.reached) if push and push.before else None

    def offer(self, service: ServiceId, version: Version | None) -> None:
        """Take the version of a service that cohort 0 is to be served; None: it is gone."""
        known = self._first.pop(service, None)
        push = self._pushes.get(service)
        if version is None:
            self._pushes.pop(service, None)
            return
        self._first[service] = version
        before = push.before if push else known
        if before is not None and before.key == version.key:
            self._pushes.pop(service, None)  # it is back where it was
        elif version.key in (known and known.key, push and push.key):
            return
        elif (self._begun or push) and version.key and len(self._soaks):
            self._pushes[service] = _Push(before, version.key)

    def served(self, service: ServiceId, cohort: int, instances_in: InstancesIn) -> CompiledService | None:
        """Return what a cohort after the first is to be served of a service."""
        push = self._pushes.get(service)
        if push and cohort > push.reached:
            push.before = push.before.with_instances(instances_in) if push.before else None
            return push.before.compiled if push.before else None
        first = self._first.get(service)
        return first.compiled if first else None

    def advance(
        self, now: float, has: Callable[[ServiceId, int], bool]
    ) -> tuple[set[ServiceId], set[ServiceId]]:
        """Go on with all pushes, given whether all nodes of a cohort have a service.

        Return the services of which another cohort is to be served the new version, and those whose push is
        over.
        """
        advanced, over = set(), set()
        for service, push in tuple(self._pushes.items()):
            if not has(service, push.reached):
                push.since = None
                continue
            push.since = now if push.since is None else push.since
            if push.reached == len(self._soaks):
                del self._pushes[service]
                over.add(service)
            elif now - push.since >= self._soaks[push.reached]:
                push.reached += 1
                push.since = None
                advanced.add(service)
        return advanced, over
