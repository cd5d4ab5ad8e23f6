"""Reads what people write: from text to a tree with positions to a typed model, or to what is wrong with it.

One reader and one YAML dialect for rules, lanes, lists, instance files and settings. It knows none of these,
and does no I/O.
"""

from xds.documents.identity import (
    DocumentId,
    Kind,
    Origin,
    Revision,
    is_encrypted,
    kind_of,
    revision_of,
    stem_of,
)

__all__ = ["DocumentId", "Kind", "Origin", "Revision", "is_encrypted", "kind_of", "revision_of", "stem_of"]
