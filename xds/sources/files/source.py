"""The file source: rule documents in one directory, instances of services in another."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from xds.documents import DocumentId
from xds.documents.identity import EXTENSIONS
from xds.rules.instance import Instance, ServiceId
from xds.sources.base import DocumentChanged, Event, InstancesChanged, SourceStatus, Synced
from xds.sources.endpoint import DEFAULT_LOCALITIES, LocalitySources
from xds.sources.files.instances import ParsedInstances, parse_instances
from xds.sources.files.settling import FileContent, Seen, Unreadable
from xds.sources.files.watch import WatchedDirectory
from xds.sources.health import SourceHealth


class FilesSource:
    """Rules from ``<rules_dir>/*.yaml`` (.yml, .json), the document's id being the file's name; instances
    from ``<services_dir>/<service>.yaml`` in the format of ``xds.sources.files.instances``.

    A save is reported within a fraction of a second. A file that cannot be read, a broken instance file
    and a directory that is gone change nothing: they are reported as ``Trouble``.
    """

    def __init__(
        self,
        rules_dir: Path,
        services_dir: Path | None = None,
        localities: LocalitySources = DEFAULT_LOCALITIES,
    ) -> None:
        self._rules_dir = rules_dir
        self._services_dir = services_dir
        self._localities = localities
        # The rules directory and that of services, if there is one. Written by ``run``.
        self._directories: list[WatchedDirectory] = []

    async def run(self, emit: Callable[[Event], None]) -> None:
        """See ``Source.run``."""
        health = SourceHealth(emit)
        directories = [WatchedDirectory(self._rules_dir, _Rules(emit, health).deliver, health.report)]
        if self._services_dir is not None:
            services = _Services(emit, health, self._localities)
            directories.append(WatchedDirectory(self._services_dir, services.deliver, health.report))
        self._directories = directories
        async with asyncio.TaskGroup() as tasks:
            for directory in directories:
                tasks.create_task(directory.follow())
            for directory in directories:
                await directory.complete.wait()
            emit(Synced())

    def status(self) -> SourceStatus:
        """See ``Source.status``."""
        counts = [directory.count for directory in self._directories]
        looks = [directory.last_look for directory in self._directories if directory.last_look]
        return SourceStatus(
            documents=sum(counts[:1]),
            services=sum(counts[1:]),
            watched=sum(counts[1:]),
            last_reconcile=min(looks, default=None),
        )


class _Rules:
    """Rule documents, passed on as they are."""

    def __init__(self, emit: Callable[[Event], None], health: SourceHealth) -> None:
        self._emit = emit
        self._health = health

    async def deliver(self, news: Mapping[str, Seen]) -> None:
        for name, seen in news.items():
            if not isinstance(seen, Unreadable):
                self._emit(DocumentChanged(DocumentId("", name), None if seen is None else seen.data))
        self._health.report_all(
            {
                f"rules {name}": seen.reason if isinstance(seen, Unreadable) else None
                for name, seen in news.items()
            }
        )


class _Services:
    """Instance files, parsed; the last good content of a broken one stays in force."""

    def __init__(
        self, emit: Callable[[Event], None], health: SourceHealth, localities: LocalitySources
    ) -> None:
        self._emit = emit
        self._health = health
        self._localities = localities
        # The last good instances, by file. Written by ``_take``, cleared by ``deliver``.
        self._good: dict[str, tuple[Instance, ...]] = {}
        # What was emitted last, by service. Written by ``_tell``.
        self._told: dict[str, tuple[Instance, ...]] = {}

    async def deliver(self, news: Mapping[str, Seen]) -> None:
        news = {name: seen for name, seen in news.items() if name.endswith(EXTENSIONS)}
        for name, seen in news.items():
            match seen:
                case None:
                    self._good.pop(name, None)
                    self._health.report(f"instances {name}", None)
                case Unreadable(reason):
                    self._health.report(
                        f"instances {name}", f"{reason}; its last good content stays in force"
                    )
                case FileContent(data):
                    self._take(name, await asyncio.to_thread(parse_instances, name, data, self._localities))
        for service in sorted({Path(name).stem for name in news}):
            self._tell(service)

    def _take(self, name: str, parsed: ParsedInstances) -> None:
        if parsed.instances is None:
            wrong = "; ".join(str(problem) for problem in parsed.problems)
            self._health.report(f"instances {name}", f"{wrong}; its last good content stays in force")
        else:
            self._good[name] = parsed.instances
            self._health.report(f"instances {name}", None)

    def _tell(self, service: str) -> None:
        files = sorted(name for name in self._good if Path(name).stem == service)
        ignored = (
            f"{', '.join(files[1:])}: ignored, {files[0]} has the instances of {service}"
            if files[1:]
            else None
        )
        self._health.report(f"instances of {service}", ignored)
        instances = self._good[files[0]] if files else None
        if instances != self._told.get(service):
            self._emit(InstancesChanged(ServiceId("", service), instances))
        if instances is None:
            self._told.pop(service, None)
        else:
            self._told[service] = instances
