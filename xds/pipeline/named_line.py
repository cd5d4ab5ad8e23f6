"""Finds the line of a document that the reason of a rejection is about."""

import re

_SHORTEST = 4
"""Characters of a value that a reason must have in it, to be about that value."""

_VALUE = re.compile(r"""^\s*(?:-\s+)*(?:[\w.-]+:\s+)*(?P<value>\S.*?)\s*(?:\s#.*)?$""")


def named_line(text: bytes, reason: str) -> int:
    """Return the line whose value is in the reason, of several the longest value; 0 if there is none.

    Envoy repeats what it refuses, such as an expression or a name, and says nothing of where it stood.
    """
    found, longest = 0, _SHORTEST - 1
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        match = _VALUE.match(line)
        value = match["value"].strip("\"'{}[], ") if match else ""
        if len(value) > longest and value in reason:
            found, longest = number, len(value)
    return found
