"""The pages of the documentation, as tests read them."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_FENCE = re.compile(r"^( *)(```+)(\w*)\n(.*?)^\1\2$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of code, and the language that it says."""

    kind: str
    code: str


def text(page: str) -> str:
    """A file of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: str) -> list[Block]:
    """The blocks of code of a page."""
    return [Block(kind, code) for _, _, kind, code in _FENCE.findall(text(page))]


def section(page: str, title: str) -> str:
    """What stands below a heading of the second level."""
    return text(page).partition(f"\n## {title}\n")[2].partition("\n## ")[0]


class Link(NamedTuple):
    page: str
    target: str


def links(page: Path) -> Iterator[Link]:
    """The links into this repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(page))):
        if "://" not in target:
            yield Link(str(page.relative_to(ROOT)), target)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    found = Counter[str]()
    result = set()
    for heading in re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        result.add(f"{anchor}-{found[anchor]}" if found[anchor] else anchor)
        found[anchor] += 1
    return result
