"""The status of documents in files."""

from pathlib import Path

import pytest
import structlog
import yaml

from xds.documents import DocumentId
from xds.documents.problem import Problem
from xds.rules.store import Standing
from xds.status import Status, StatusFiles

A, STAGING = DocumentId("", "a.yaml"), DocumentId("staging", "a.yaml")
PROBLEM = Problem("a.yaml", 3, 5, "http[0]", 'there is no subset "gry"', "did you mean gray?")


@pytest.fixture
def status() -> Status:
    return Status([], lambda _: [], lambda: 0.0)


async def test_each_document_has_a_file_until_it_is_gone(status: Status, tmp_path: Path) -> None:
    files = StatusFiles(status, tmp_path / "status")
    standing = Standing("r2", "r1", waits=False)
    status.documents_changed({A: (PROBLEM,)}, {A: standing, STAGING: Standing("r1", "r1", waits=False)})
    await files.write()
    assert yaml.safe_load((tmp_path / "status" / "a.yaml").read_text()) == {
        "document": "a.yaml",
        "revision": "r2",
        "state": "Rejected",
        "problems": [
            {
                "severity": "error",
                "line": 3,
                "column": 5,
                "field": "http[0]",
                "problem": 'there is no subset "gry"',
                "hint": "did you mean gray?",
            }
        ],
        "inForce": "r1",
        "proxies": {"programmed": 0, "of": 0},
        "at": "1970-01-01T00:00:00+00:00",
    }
    assert yaml.safe_load((tmp_path / "status" / "staging" / "a.yaml").read_text())["state"] == "Programmed"
    status.documents_changed({}, {A: None})
    await files.write()
    assert [file.name for file in (tmp_path / "status").iterdir()] == ["staging"]


async def test_a_place_that_cannot_be_written_is_one_warning_and_written_later(
    status: Status, tmp_path: Path
) -> None:
    (tmp_path / "status").write_text("a file")
    files = StatusFiles(status, tmp_path / "status")
    status.documents_changed({}, {A: Standing("r1", "r1", waits=False)})
    with structlog.testing.capture_logs() as logs:
        await files.write()
        await files.write()
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "state_dir" in logs[0]["hint"]
    (tmp_path / "status").unlink()
    await files.write()
    assert (tmp_path / "status" / "a.yaml").exists()
