"""The whole program: a source, and the control plane that brings proxies what it says."""

import asyncio
from typing import TYPE_CHECKING, assert_never

from xds import gc_tuning
from xds.settings import Settings
from xds.sources.base import Source
from xds.sources.change_buffer import ChangeBuffer

if TYPE_CHECKING:
    from xds.control_plane import ControlPlane


async def serve(settings: Settings) -> None:
    """Serve until cancelled. Raise ``BindError`` if an address is taken.

    The source is asked first of all: it may take its time to answer, and everything else is imported and
    read from the disk meanwhile.
    """
    with gc_tuning.paused():
        source = _source(settings)
    buffer = ChangeBuffer()
    asking = asyncio.create_task(source.run(buffer.put))
    try:
        control_plane = await asyncio.to_thread(_control_plane)
        await control_plane(settings, buffer).run(asking)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def _control_plane() -> "type[ControlPlane]":
    # In a thread, so that the source's answers are taken in while this is imported.
    with gc_tuning.paused():
        from xds.control_plane import ControlPlane  # noqa: PLC0415

    return ControlPlane


def _source(settings: Settings) -> Source:
    # Imported where it is used: the SDK of Nacos takes half a second, what watches files a little.
    match settings.source:
        case "files":
            from xds.sources.files import FilesSource  # noqa: PLC0415

            return FilesSource(settings.files.rules, settings.files.services)
        case "nacos":
            from xds.sources.nacos import NacosSource  # noqa: PLC0415

            return NacosSource(settings.nacos.client_settings())
        case other:
            assert_never(other)
