"""The examples of the rule reference and of the cookbook."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.unit.rules.marked import DOCUMENT

DOCS = Path(__file__).parents[3] / "docs"
REFERENCES = ("rules.md", "rules.zh-CN.md")
COOKBOOKS = ("cookbook.md", "cookbook.zh-CN.md")
SUBSETS = "subsets: {stable: {labels: {v: a}}, gray: {labels: {v: b}}}\nbaseline: stable\n"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```(?:yaml)?\n(.*?)```", text, re.DOTALL)


def yaml_blocks(name: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", page(name), re.DOTALL)


def whole(block: str) -> tuple[str, str]:
    """The document that an example of the reference is, or is a part of: its name and text."""
    rule = f"- name: r\n  route: [{{subset: gray}}]\n{textwrap.indent(block, '  ')}"
    rules = rule if block.startswith("match:") else block
    if rules.startswith("- name:"):
        return DOCUMENT, f"{SUBSETS}http:\n{rules}"
    if block.startswith("# yaml-language-server"):
        return DOCUMENT, block + SUBSETS
    return "lanes.yaml" if block.startswith("lanes:") else DOCUMENT, block


def recipes(name: str = COOKBOOKS[0]) -> Iterator[tuple[str, dict[str, str]]]:
    """The sections of the cookbook: the title, and the documents by name."""
    for section in page(name).split("\n## ")[1:]:
        documents = {block.partition("\n")[0].removeprefix("# "): block for block in blocks(section)}
        yield section.partition("\n")[0], documents
