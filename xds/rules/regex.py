"""Regular expressions as Envoy takes them.

Envoy compiles with RE2 and refuses, with the whole resource, what RE2 cannot compile and what compiles to
more than 100 instructions (envoy/type/matcher/v3/regex.proto: ``re2.maxprogram_size.error_level``). It reads
patterns and values as bytes (RE2's Latin-1 mode, seen on Envoy 1.40), where ``é{2}`` repeats half a
character: so only ASCII is let through.
"""

import re
from functools import lru_cache
from typing import Annotated

import re2
from pydantic import AfterValidator, Field

from xds.documents.defect import invalid

MAX_LENGTH = 512
"""Characters of a pattern; with ``_MEMORY`` it bounds the time that a hostile one costs."""

MAX_PROGRAM = 100
"""Envoy's default for the size of a compiled pattern."""

_MEMORY = 1 << 16  # bytes; a tenth of it holds MAX_PROGRAM instructions
_UNICODE_CLASS = re.compile(r"(?<!\\)(?:\\\\)*\\[pP]")


def check_regex(pattern: str) -> str:
    """Return ``pattern`` if every Envoy takes it."""
    _require_size(pattern, program_size(_readable(pattern)))
    return pattern


def check_regex_ignoring_case(pattern: str) -> None:
    """Check that ``pattern``, which passed ``check_regex``, fits with ``ignoreCase``, too."""
    _require_size(pattern, program_size(f"(?i){pattern}"))


def _readable(pattern: str) -> str:
    if not pattern:
        raise invalid("an empty regular expression", '"^$" matches an empty value, ".*" any')
    if len(pattern) > MAX_LENGTH:
        hint = f"at most {MAX_LENGTH}; `in` takes long lists of values"
        raise invalid(f"a regular expression of {len(pattern)} characters", hint)
    if not pattern.isascii() or not pattern.isprintable():
        raise invalid(
            "a regular expression holds only visible ASCII characters",
            "Envoy matches bytes; `.` is one of them",
        )
    if _UNICODE_CLASS.search(pattern):
        raise invalid(
            r"Unicode classes (\p) do not work: Envoy matches bytes",
            "list ASCII characters, such as [A-Za-z]",
        )
    return pattern


def _require_size(pattern: str, size: int | None) -> None:
    if size is None or size > MAX_PROGRAM:
        measured = "far more than" if size is None else f"{size} instead of at most"
        hint = (
            f"RE2 program size: {measured} {MAX_PROGRAM}; shorten repetitions such as {{1000}}, or use `in`"
        )
        raise invalid("the regular expression is too complex for Envoy", hint)


@lru_cache(maxsize=1024)
def program_size(pattern: str) -> int | None:
    """Return RE2's program size of ``pattern``; None when it does not fit in ``_MEMORY``."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return int(re2.compile(pattern.encode(), options).programsize)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        if reason.startswith("pattern too large"):
            return None
        raise invalid(
            f"not a regular expression of RE2: {reason}", "RE2 knows no look-around and no back-references"
        ) from None


Regex = Annotated[str, AfterValidator(check_regex), Field(min_length=1, max_length=MAX_LENGTH)]
