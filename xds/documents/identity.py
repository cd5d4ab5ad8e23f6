"""Which document is meant, which version of it, and what kind of document it is."""

import hashlib
import re
from enum import StrEnum
from typing import Any, NamedTuple

EXTENSIONS = (".yaml", ".yml", ".json")
"""How the name of a document in YAML ends; JSON is YAML."""

_CIPHER = "cipher-"
_ENCRYPTED = re.compile(f"^{_CIPHER}[^-]+-")
"""How Nacos has the names of encrypted documents begin, with the algorithm."""

Revision = str
"""A version of a document: the hash of its text, 16 hexadecimal digits."""


class DocumentId(NamedTuple):
    """A document: its namespace ('' is the default one) and its name, a dataId or file name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Origin(NamedTuple):
    """The version of a document that something was made from."""

    document: DocumentId
    revision: Revision


def decode_origin(_: type, content: Any) -> Origin:
    """Read an origin where its type is not known (``dec_hook`` of msgspec).

    It is the one such in a resource: ``origins`` mean nothing to the cache.
    """
    (namespace, name), revision = content
    return Origin(DocumentId(namespace, name), revision)


class Kind(StrEnum):
    """What a document holds."""

    RULES = "rules"
    LANES = "lanes"
    LIST = "list"


def revision_of(content: bytes) -> Revision:
    """Return the revision of a document with this text."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def kind_of(name: str) -> Kind | None:
    """Return the kind of a document of this name; None for what is not ours, such as README.md."""
    stem = stem_of(name)
    if stem == name or not stem:
        return None
    if name.endswith(".list"):
        return Kind.LIST
    return Kind.LANES if stem == "lanes" else Kind.RULES


def stem_of(name: str) -> str:
    """Return the name of a document without folder and extension: its service, or the name of its list.

    ``cipher-<algorithm>-reviews.yaml`` is ``reviews.yaml``, encrypted.
    """
    base = name.rpartition("/")[2]
    if base.startswith(_CIPHER):
        base = _ENCRYPTED.sub("", base)
    for extension in (*EXTENSIONS, ".list"):
        if base.endswith(extension):
            return base.removesuffix(extension)
    return base


def is_encrypted(name: str) -> bool:
    """Say whether a document of this name holds what one of Nacos's encryption plug-ins made of a text."""
    return name.startswith(_CIPHER)
