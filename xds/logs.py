"""Grayplane's own log: what happened, for whoever operates it, to standard error.

Libraries that log through the standard library come out in the same form.
"""

import logging
import os
import sys
from typing import Literal

import structlog

_LIBRARIES = logging.WARNING  # what libraries say below this is about themselves


def configure(level: str, form: Literal["console", "json"]) -> None:
    """Set up logging for this process: from ``level`` on, as text for people or as JSON lines.

    To be called before gRPC is imported: its core writes to standard error in a form of its own, of things
    that the server logs as well.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*before, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(
        level=max(_LIBRARIES, logging.getLevelNamesMapping()[level.upper()]), handlers=[handler], force=True
    )
