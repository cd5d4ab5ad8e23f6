"""Grayplane's own log: what happened, for whoever operates it, to standard error.

Libraries that log through the standard library come out in the same form.
"""

import json
import logging
import os
import re
import sys
from functools import partial
from typing import Any, Literal, TextIO, cast

import structlog

_LIBRARIES = logging.WARNING  # what libraries say below this is about themselves


_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON need not escape, and terminals and readers of lines take for more than text."""

_OF_LINES = frozenset({"exception", "stack"})
"""What has several lines, and is ours."""


class LossyStream:
    """A stream that drops what it cannot write: a full disk under the log must not end the server.

    When it can be written to again, a line says how often that was.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Writes that failed since the last that did not. Written by ``write`` and ``flush``.
        self._dropped = 0

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        try:
            if self._dropped:
                self._stream.write(f"grayplane: the log could not be written, {self._dropped} times\n")
                self._stream.flush()
                self._dropped = 0
            return self._stream.write(text)
        except OSError:
            self._dropped += 1
            return len(text)

    def flush(self) -> None:
        """Write what is not written yet, or drop it."""
        try:
            self._stream.flush()
        except OSError:
            self._dropped += 1


def configure(level: str, form: Literal["console", "json"], *, process: int | None = None) -> None:
    """Set up logging for this process: from ``level`` on, as text for people or as JSON lines.

    With ``process``, each line says that it is of the server process with that number.

    To be called before gRPC is imported: its core writes to standard error in a form of its own, of things
    that the server logs as well.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    stream = cast("TextIO", LossyStream(sys.stderr))
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
        structlog.processors.format_exc_info,
    ]
    if process is not None:
        before.append(partial(_add_process, process=process))
    renderer: structlog.typing.Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(_json)
    else:
        before.append(_printable)
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[*before, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line is one write, so that no other thread gets in between.
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(
        level=max(_LIBRARIES, logging.getLevelNamesMapping()[level.upper()]), handlers=[handler], force=True
    )


def _add_process(
    _: object, __: str, event: structlog.typing.EventDict, *, process: int
) -> structlog.typing.EventDict:
    event.setdefault("process", process)
    return event


def _json(event: Any, **options: Any) -> str:
    text = json.dumps(event, ensure_ascii=False, **options)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _printable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what clients and authors may have put into a text to look like another line, or to colour it."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            kept = "\n" if name in _OF_LINES else ""
            event[name] = "".join(
                each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
                for each in value
            )
    return event
