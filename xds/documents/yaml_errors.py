"""libyaml's complaints in words for someone who edits a rule."""

import yaml

from xds.documents.text import Mark, UnreadableError, mark_after

_INDENT = "are all keys of a mapping at the same indentation, and texts with ':' or '#' in quotes?"
_FLOW = "is a bracket or comma missing?"

_SAYINGS = {
    "did not find expected key": ("a key of this mapping was expected here", _INDENT),
    "did not find expected '-' indicator": ("another '- ' of this list was expected here", _INDENT),
    "mapping values are not allowed in this context": ("a ':' cannot stand here", _INDENT),
    "block sequence entries are not allowed in this context": (
        "a '- ' cannot stand here",
        "begin the list on a line of its own",
    ),
    "could not find expected ':'": ("a ':' was expected after the key", "write `key: value`"),
    "did not find expected ',' or ']'": ("this list in [ ] is not continued or closed", _FLOW),
    "did not find expected ',' or '}'": ("this mapping in { } is not continued or closed", _FLOW),
    "did not find expected node content": ("a value or a closing bracket was expected here", _FLOW),
    "found unexpected end of stream": ("a quote is opened and never closed", "close the quote"),
    "found a tab character that violates indentation": (
        "a tab is used for indentation",
        "indent with spaces",
    ),
    "found a tab character where an indentation space is expected": (
        "a tab is used for indentation",
        "indent with spaces",
    ),
    "found unknown escape character": (
        "this escape does not exist in double quotes",
        r"write \\ for a backslash, or use single quotes",
    ),
    "found invalid Unicode character escape code": (
        "this escape names no character",
        "write the character itself",
    ),
    "did not find expected <document start>": (
        "something follows the end of the document",
        "write one document per service",
    ),
}

_STRAY = {
    "\t": ("a tab is used for indentation", "indent with spaces"),
    "@": ("text cannot begin with @", "write it in quotes"),
    "`": ("text cannot begin with `", "write it in quotes"),
    "%": ("text cannot begin with %", "write it in quotes"),
}


def explain(error: yaml.YAMLError, text: str) -> UnreadableError:
    """Say what ``error``, met while reading ``text``, means to the author."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return UnreadableError(Mark(1, 1), f"not valid YAML: {error}")
    at, problem = error.problem_mark, error.problem or ""
    message, hint = _SAYINGS.get(problem, (f"not valid YAML: {problem}", ""))
    if problem == "found character that cannot start any token":
        message, hint = _STRAY.get(text[at.index : at.index + 1], (message, hint))
    if begun := error.context_mark:
        message += f" (begun at line {begun.line + 1}, column {begun.column + 1})"
    end = at.index >= len(text)  # where libyaml counts a line that is not there
    return UnreadableError(mark_after(text) if end else Mark(at.line + 1, at.column + 1), message, hint)
