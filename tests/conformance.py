"""Which behaviour of an xDS server is tested where; ``python -m tests.conformance`` says so in the docs.

A test says by its name which line it is about: ``test_23_…`` is about line 23.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "conformance.md"
_BEGIN, _END = "<!-- made by: python -m tests.conformance -->\n", "<!-- end -->\n"

SECTIONS: Mapping[str, Mapping[int, str]] = {
    "Common to both variants": {
        1: "The node is read from the first request of a stream; later requests may leave it out",
        2: "An aggregated stream needs a type URL; a stream of one type infers it",
        3: "A nonce is valid on its stream alone; one left over from an older stream is tolerated at first",
        4: "The version of a type is that of its content: it survives streams and moves when content changes",
        5: "A NACK is `error_detail` being present, whatever the version",
        6: "An ACK causes no answer, nor does a NACK while nothing changes",
        7: "No response has a name twice",
        8: "A name that does not exist yet is remembered, and pushed once it does",
        9: "Types are isolated: an ACK of one says nothing of another",
        10: "`*`, and an empty first request, ask for everything, but for types fetched by name",
        11: "After any name, no names means none",
        12: "`*` and names together; taking `*` back keeps the names",
    },
    "State of the world": {
        13: "A stale nonce is not answered",
        14: "The names of a request are all that is wanted; leaving one out unsubscribes it",
        15: "A newly added name is sent even if unchanged",
        16: "Listeners and clusters come whole: absence deletes",
        17: "Routes and endpoints come in part",
        18: "After a reconnect nothing is resent only for a wildcard at the current version",
        19: "Of several requests for a type only the latest needs an answer",
    },
    "Incremental": {
        20: "Only what changed goes out, each resource with a version of its own",
        21: "Subscriptions count even on a stale nonce",
        22: "A name that is subscribed again is sent again",
        23: "A subscribed name that does not exist is told as removed, and stays subscribed",
        24: "A deleted resource is told as removed",
        25: "Unsubscribing needs no reply; what was never subscribed is ignored",
        26: "Under `*`, an unsubscribed name is sent or told as removed",
        27: "What a client brings along is not sent again; what changed or vanished meanwhile is",
        28: "Subscribing and unsubscribing may ride on an ACK",
        29: "Subscriptions match by name or alias; virtual hosts on demand",
    },
    "Order and warming": {
        30: "Clusters, endpoints, listeners, routes, virtual hosts; what is stale leaves last",
        31: "A repointed route waits for its new cluster; the old one leaves after it, drained",
        32: "A changed cluster has its endpoints sent again, after a reconnect too",
        33: "An unchanged route is not sent again",
    },
    "The rest": {
        34: "Time to live with heartbeats, for clients that declare it",
        35: "Several streams of a node, per-type streams, both variants at once",
        36: "REST-JSON discovery: no delta, 304 when unchanged",
        37: "Every subscription is answered well within the 15 s that clients wait",
        38: "`resource_errors` NOT_FOUND as good as removed, for clients that declare it",
        39: "Locators, dynamic parameters, `xdstp://` names and globs never break a stream",
        40: "Load reporting: the server speaks after the first request",
        41: "Client status: in step, not sent, stale, rejected and why",
    },
}


@cache
def found() -> dict[int, list[str]]:
    """Collect the tests of each line, as ``file::name``, by reading the files."""
    tests: dict[int, list[str]] = {number: [] for section in SECTIONS.values() for number in section}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _names(path):
            number = name.split("_")[1]
            if number.isdecimal() and len(number) == 2:
                tests.setdefault(int(number), []).append(f"{path.relative_to(TESTS.parent)}::{name}")
    return tests


def table() -> str:
    """Write the tables as Markdown."""
    tests = found()
    parts = []
    for title, lines in SECTIONS.items():
        parts.append(f"## {title}\n\n| | behaviour | tested by |\n| --- | --- | --- |\n")
        parts += (f"| {number} | {line} | {_links(tests[number])} |\n" for number, line in lines.items())
        parts.append("\n")
    return "".join(parts)


def document(table: str) -> str:
    """Put the tables into the document as it is."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(_BEGIN)
    return before + _BEGIN + "\n" + table + _END + rest.split(_END)[1]


def _names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def _links(tests: list[str]) -> str:
    files: dict[str, int] = {}
    for test in tests:
        file = test.partition("::")[0]
        files[file] = files.get(file, 0) + 1
    return ", ".join(
        f"[{Path(file).name}](../{file})" + (f" ({count})" if count > 1 else "")
        for file, count in files.items()
    )


if __name__ == "__main__":
    DOCUMENT.write_text(document(table()), encoding="utf-8")
    sys.stdout.write(f"wrote {DOCUMENT}\n")
