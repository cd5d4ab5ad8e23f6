"""Names by which a client may ask for more than one resource."""

WILDCARD = "*"

_SCHEME = "xdstp:"


def is_glob(name: str) -> bool:
    """Whether a name stands for all resources of a folder (xRFC TP1, "Glob")."""
    return name.startswith(_SCHEME) and name.partition("?")[0].endswith("/*")


def glob_of(name: str) -> str | None:
    """Return the glob that a resource's name falls under, None for a name without the ``xdstp`` scheme.

    It is the same name with ``*`` for the last part of its path: context parameters must be the same.
    """
    if not name.startswith(_SCHEME):
        return None
    path, mark, parameters = name.partition("?")
    return f"{path.rpartition('/')[0]}/*{mark}{parameters}"
