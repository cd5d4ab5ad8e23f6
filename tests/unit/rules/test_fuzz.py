"""Documents that went wrong in any way: none crashes the reader or holds it up."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from xds.documents.problem import Severity
from xds.rules.parse import MAX_PROBLEMS, parse
from xds.sources.files.instances import parse_instances

CORPUS = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").iterdir())}
"""What mutations begin with. A document that ever did harm is kept here, too."""

MUTANTS = 10_000
LONGEST = 1.0
"""Seconds that no document may take; a usual one takes a thousandth."""

_TOKENS = (
    *(
        b": ",
        b"- ",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"\n",
        b"\n  ",
        b"'",
        b'"',
        b"#",
        b"&a ",
        b"*a",
        b"!!x ",
        b"? ",
        b"|\n",
    ),
    *(
        b"\t",
        b"\x00",
        b"\xff",
        b"\xe4",
        b"\xe2\x80\xa8",
        b"null",
        b"true",
        b"010",
        b"1e9",
        b"-1",
        b"4294967296",
        b"<<",
    ),
    *(
        b"service",
        b"match",
        b"regex",
        b"(",
        b"{1000}",
        b"(?i)",
        b"\\1",
        b"%",
        b"2026-02-30",
        b"24:00",
        b"::/0",
        b"none",
    ),
)


def mutants(count: int) -> Iterator[tuple[str, bytes]]:
    """Documents of the corpus with one to four mistakes; the same ones every time."""
    chance = random.Random(20261125)
    names = list(CORPUS)
    for _ in range(count):
        name = chance.choice(names)
        content = CORPUS[name]
        for _ in range(chance.randint(1, 4)):
            content = mutated(chance, content)
        yield name, content


def mutated(chance: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    start, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    match chance.randrange(7):
        case 0:  # a token more
            return content[:start] + chance.choice(_TOKENS) + content[start:]
        case 1:  # another token instead of some bytes
            return content[:start] + chance.choice(_TOKENS) + content[start + chance.randint(1, 8) :]
        case 2:  # a part is missing
            return content[:start] + content[min(end, start + 200) :]
        case 3:  # a part is there twice
            return content[:end] + content[start:end] + content[end:]
        case 4 if lines:  # lines changed places
            chance.shuffle(lines)
            return b"".join(lines)
        case 5:  # another byte
            return content[:start] + bytes([chance.randrange(256)]) + content[start + 1 :]
        case _:  # a word of another document
            words = chance.choice(list(CORPUS.values())).split()
            return content[:start] + (chance.choice(words) if words else b"") + content[end:]


def test_mutants() -> None:
    slowest, errors, good = 0.0, 0, 0
    for name, content in mutants(MUTANTS):
        began = time.monotonic()
        parsed = parse(name, content)
        slowest = max(slowest, time.monotonic() - began)
        broken = any(problem.severity is Severity.ERROR for problem in parsed.problems)
        assert (parsed.content is None) == broken, content
        assert len(parsed.problems) <= MAX_PROBLEMS + 1
        assert all(problem.message and str(problem).isprintable() for problem in parsed.problems), content
        errors += broken
        good += not broken
    assert slowest < LONGEST
    assert errors > MUTANTS // 2
    assert good > MUTANTS // 20


def test_mutants_of_instance_files() -> None:
    chance = random.Random(20261125)
    whole = (
        b"- address: 127.0.0.1\n  port: 9101\n  weight: 1.5\n  metadata: {version: v1, zone: 1.10}\n"
        b"- {address: '::1', port: 80}\n"
    )
    for _ in range(MUTANTS // 10):
        content = mutated(chance, mutated(chance, whole))
        parsed = parse_instances("reviews.yaml", content)
        assert (parsed.instances is None) == bool(parsed.problems), content


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_itself(name: str) -> None:
    parsed = parse(name, CORPUS[name])
    expected = name in {"everything.yaml", "lanes.yaml", "vip.list", "windows.yaml", "json.json", "grpc.yaml"}
    assert (parsed.content is not None) is expected, parsed.problems
