"""What to do when no memory is left: end at once.

A ``MemoryError`` may stop anything half way: some streams told of a change and others not. What is on the
disk is written as a whole or not at all, proxies keep what they have, and a supervisor starts the program
again.
"""

import asyncio
import os
from contextlib import suppress
from typing import Any

import structlog

_log = structlog.get_logger(__name__)

_STATUS = 70
"""``EX_SOFTWARE`` of ``sysexits.h``."""


def end_when_out_of_memory() -> None:
    """Have this process end when the running event loop hears of a ``MemoryError`` that nobody handled."""
    asyncio.get_running_loop().set_exception_handler(_handle)


def tell_if_out_of_memory(error: BaseException) -> None:
    """Tell the event loop of an error that is handled otherwise, if it is for lack of memory."""
    if _is_out_of_memory(error):
        asyncio.get_running_loop().call_exception_handler({"message": "out of memory", "exception": error})


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error and _is_out_of_memory(error):
        with suppress(MemoryError):
            _log.critical("out of memory: the process ends at once")
        os._exit(_STATUS)
    loop.default_exception_handler(context)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_out_of_memory, error.exceptions))
    return isinstance(error, MemoryError)
