"""Nothing that a client or an author says can look like another line of the log, or steer a terminal."""

import json
import subprocess
import sys

import pytest

HOSTILE = "edge-1\n2026-11-26 [error] forged\x1b[31m\x1b]0;title\x07\x9b2J\u2028x\u202egnp.\rover"
TEXTS = [HOSTILE, *(f"edge{each}1" for each in "\x1b\x9b\u2028\u202e\x7f\x00\x85\u2066")]

PROGRAM = """
import json, logging, sys, structlog
from xds import logs
form, texts = sys.argv[1], json.loads(sys.argv[2])
logs.configure("info", form)
for text in texts:
    structlog.get_logger("test").info("client connected", node=text, names=[text])
    logging.getLogger("library").warning("said %s", text)
try:
    raise ValueError("\\x1b[31m")
except ValueError:
    structlog.get_logger("test").exception("failed")
"""


def log(form: str) -> list[str]:
    """Return the lines that a process of its own logs."""
    command = [sys.executable, "-c", PROGRAM, form, json.dumps(TEXTS)]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60).stderr.decode()
    return said.rstrip("\n").split("\n")


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_line_stays_a_line(form: str) -> None:
    lines = log(form)[: 2 * len(TEXTS)]
    assert all(line.isprintable() for line in lines)
    assert [("client connected" in line, "said edge" in line) for line in lines] == [
        (True, False),
        (False, True),
    ] * len(TEXTS)
    if form == "json":
        assert [json.loads(line)["node"] for line in lines[::2]] == TEXTS


def test_a_traceback_keeps_its_lines() -> None:
    assert "ValueError" in log("json")[2 * len(TEXTS)]
    lines = log("console")[2 * len(TEXTS) :]
    assert len(lines) > 3
    assert "ValueError" in lines[-1]
