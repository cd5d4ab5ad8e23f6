"""The whole program: a source, and the control plane that brings proxies what it says."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from xds import gc_tuning
from xds.settings import Settings
from xds.sources.base import Source
from xds.sources.change_buffer import ChangeBuffer
from xds.sources.watched_services import Needs, WatchedServices

if TYPE_CHECKING:
    from xds.composition.control_plane import ControlPlane


async def serve(settings: Settings) -> None:
    """Serve until cancelled. Raise ``StartError`` if it cannot start.

    The source is asked first of all: it may take its time to answer, and everything else is imported and
    read from the disk meanwhile.
    """
    watched = _watched(settings)
    with gc_tuning.paused():
        source = _source(settings, watched)
    buffer = ChangeBuffer()
    asking = asyncio.create_task(source.run(buffer.put))
    try:
        control_plane = await asyncio.to_thread(_control_plane)
        plane = control_plane(settings, buffer, source.status, watched)
        await plane.run(asking, *_status_writers(settings, source, plane))
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def _control_plane() -> "type[ControlPlane]":
    # In a thread, so that the source's answers are taken in while this is imported.
    with gc_tuning.paused():
        from xds.composition.control_plane import ControlPlane  # noqa: PLC0415

    return ControlPlane


def _watched(settings: Settings) -> WatchedServices | None:
    """Return what says which services are watched; None: the source reports all of them."""
    if settings.source == "files":
        return None
    watched = WatchedServices()
    if settings.nacos.watch == "all":
        namespaces = settings.nacos.namespaces
        for namespace in namespaces if len(namespaces) > 1 else ("",):
            watched.hold(("nacos.watch", namespace), Needs(namespace))
    return watched


def _source(settings: Settings, watched: WatchedServices | None) -> Source:
    localities = settings.locality.sources()
    # Imported where it is used: the SDK of Nacos takes half a second, what watches files a little.
    match settings.source:
        case "files":
            from xds.sources.files import FilesSource  # noqa: PLC0415

            return FilesSource(settings.files.rules, settings.files.services, localities)
        case "nacos":
            from xds.sources.nacos import NacosSource  # noqa: PLC0415

            namespaces = settings.nacos.client_settings()
            replaced = (dataclasses.replace(each, localities=localities) for each in namespaces)
            return NacosSource(*replaced, watched=watched)
        case other:
            assert_never(other)


def _status_writers(
    settings: Settings, source: Source, plane: "ControlPlane"
) -> Iterator[Callable[[], Coroutine[Any, Any, None]]]:
    """Write what became of documents to where they come from, for each namespace of Nacos."""
    if settings.source != "nacos" or not settings.nacos.status_group:
        return
    from xds.sources.nacos import NacosSource, StatusDocuments  # noqa: PLC0415  # as above

    assert isinstance(source, NacosSource)
    namespaces = settings.nacos.client_settings()
    for each in namespaces:
        feed = plane.status.feed()
        namespace = each.namespace if len(namespaces) > 1 else ""
        writer = StatusDocuments(
            each,
            settings.nacos.status_group,
            partial(plane.status.changed_documents, feed),
            plane.status_dict,
            ignored=partial(source.ignored, namespace),
            namespace=namespace,
        )
        yield partial(plane.once_in_step, writer.run)
