"""The layout of documents: `grayplane fmt`."""

from pathlib import Path

import pytest

from tests.unit.rules.examples import COOKBOOKS, recipes
from xds.documents.formatting import FormatError, formatted
from xds.rules.parse import parse

ROOT = Path(__file__).parents[2]
MESSY = """\
\ufeff# who gets what\r
service:   reviews\r
hosts: [a.example.com,  b.example.com]   # on the edge
http:
    - name: r    # the rule
      route:
      - {subset:   gray}



      match:
          # testers
          - headers: {x: {exact: "1"}}
          - schedule: {from: 2026-11-25T10:00, until: 2026-12-01, timezone: UTC}
          - headers: {y: {in: [no, on, 1_0, 'x']}}\t
subsets: {gray: {labels: {v: 'x'}}}
baseline: gray"""
NEAT = """\
# who gets what
service: reviews
hosts: [a.example.com, b.example.com]    # on the edge
http:
  - name: r      # the rule
    route:
      - {subset: gray}

    match:
      # testers
      - headers: {x: {exact: "1"}}
      - schedule: {from: 2026-11-25T10:00, until: 2026-12-01, timezone: UTC}
      - headers: {y: {in: [no, on, 1_0, 'x']}}
subsets: {gray: {labels: {v: 'x'}}}
baseline: gray
"""


def test_a_messy_document() -> None:
    assert formatted("reviews.yaml", MESSY.encode()) == NEAT
    assert formatted("reviews.yaml", NEAT.encode()) == NEAT


def test_examples_have_the_layout_already() -> None:
    for file in sorted((ROOT / "config" / "rules").iterdir()):
        assert formatted(file.name, file.read_bytes()) == file.read_text(encoding="utf-8")
    for title, documents in recipes(COOKBOOKS[0]):
        for name, text in documents.items():
            assert formatted(name, text.encode()) == text, title


def test_nothing_is_said_otherwise() -> None:
    for file in sorted((Path(__file__).parent / "rules" / "corpus").iterdir()):
        try:
            text = formatted(file.name, file.read_bytes())
        except FormatError:
            continue
        assert parse(file.name, text.encode()).content == parse(file.name, file.read_bytes()).content
        assert formatted(file.name, text.encode()) == text


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (
            "a.json",
            b'{"service":"a","hosts":["\xe8\xaf\x84"]}',
            '{\n  "service": "a",\n  "hosts": [\n    "评"\n  ]\n}\n',
        ),
        ("vip.list", b"a  \r\n\r\n\r\n\r\n# b\r\nc # d", "a\n\n# b\nc # d\n"),
        ("text.yaml", b"a: |\n  # no comment\n    b\nc: 1\n", "a: |\n  # no comment\n    b\nc: 1\n"),
    ],
)
def test_other_kinds(name: str, content: bytes, text: str) -> None:
    assert formatted(name, content) == text


@pytest.mark.parametrize("content", [b"a: [", b"\xff", b"", b"a: b: c", b"a: 1\n---\nb: 2\n"])
def test_what_is_no_document(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"reviews\.yaml:1|reviews\.yaml:2"):
        formatted("reviews.yaml", content)
