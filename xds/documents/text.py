"""From bytes to text: the first thing that can be wrong with a document."""

import codecs
import re
from typing import NamedTuple

MAX_BYTES = 1 << 20
"""The largest document read. Nacos itself takes 10 MiB; a gray rule of 1 MiB is a mistake."""

# What YAML 1.2 calls printable (5.1), without the line separators that editors do not show as such, so
# that the positions in errors are those the author sees.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BREAK = re.compile("\r\n?|\n")
_WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins with UTF-16's mark: asked first
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Mark(NamedTuple):
    """A position in a document; both count from 1, columns in characters."""

    line: int
    column: int


class UnreadableError(Exception):
    """The document cannot be read at all, or not beyond ``mark``."""

    def __init__(self, mark: Mark, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message
        self.hint = hint


class Undecrypted(bytes):
    """The content of an encrypted document of which nobody could make text, and why."""

    reason: str

    def __new__(cls, content: str, reason: str) -> "Undecrypted":
        """Keep the content, so that each version has a revision of its own."""
        made = super().__new__(cls, content.encode())
        made.reason = reason
        return made


class EmptyDocumentError(UnreadableError):
    """There is nothing in the document but blanks and comments."""


def decode(content: bytes, most: int = MAX_BYTES) -> str:
    """Return the text of a document in UTF-8, without its byte order mark. Raise ``UnreadableError``."""
    if isinstance(content, Undecrypted):
        raise UnreadableError(Mark(1, 1), content.reason, "the setting nacos.decryption names the plug-in")
    if len(content) > most:
        hint = f"at most {most:,} ({most >> 20} MiB) are read"
        raise UnreadableError(Mark(1, 1), f"the document has {len(content):,} bytes", hint)
    for mark, encoding in _WIDE_MARKS.items():
        if content.startswith(mark):
            raise UnreadableError(Mark(1, 1), f"the document is in {encoding}", "save it as UTF-8")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(
            mark_after(content[: error.start].decode()),
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            "save the document as UTF-8, not as GBK or Latin-1",
        ) from None
    if found := _FORBIDDEN.search(text):
        raise UnreadableError(
            mark_after(text[: found.start()]),
            f"the character U+{ord(found[0]):04X} may not stand in a document",
            "remove it; in double quotes it can be written as an escape",
        )
    return text


def mark_after(text: str) -> Mark:
    """Return the position behind ``text``."""
    line, begin = 1, 0
    for found in _BREAK.finditer(text):
        line, begin = line + 1, found.end()
    return Mark(line, len(text) - begin + 1)
