"""`grayplane publish`, `pull`, `history` and `rollback`, against a Nacos 3 that a test sets."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.fake_nacos import FakeNacos, Json, fake_nacos

RULE = """\
hosts: [reviews.example.com]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http: [{name: ramp, route: [{subset: stable, weight: 95}, {subset: gray, weight: 5}]}]
"""


@pytest.fixture
async def nacos() -> AsyncIterator[FakeNacos]:
    async with fake_nacos(FakeNacos) as fake:
        yield fake


async def grayplane(nacos: FakeNacos | None, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and all it printed."""
    flags = ("--nacos", nacos.address) if nacos else ()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("grayplane"),
        *(*arguments, *flags),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


def rule_file(tmp_path: Path, text: str, name: str = "reviews.yaml") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


async def test_publish_shows_the_difference(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents["reviews.yaml"] = RULE
    edited = rule_file(tmp_path, RULE.replace("95", "50").replace("weight: 5}", "weight: 50}"))
    code, printed = await grayplane(nacos, "publish", edited, "--dry-run")
    assert code == 0
    assert "-http: [{name: ramp, route: [{subset: stable, weight: 95}" in printed
    assert "+http: [{name: ramp, route: [{subset: stable, weight: 50}" in printed
    assert nacos.documents["reviews.yaml"] == RULE
    code, printed = await grayplane(nacos, "publish", edited)
    assert (code, "nobody to ask; use --yes" in printed) == (2, True)
    code, printed = await grayplane(nacos, "publish", edited, "--yes")
    assert (code, "reviews.yaml: published" in printed) == (0, True)
    assert nacos.documents["reviews.yaml"] == (tmp_path / "reviews.yaml").read_text()
    code, printed = await grayplane(nacos, "publish", edited, "--yes")
    assert (code, "reviews.yaml: unchanged" in printed) == (0, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RULE.replace("subset: gray,", "subset: gry,"), "gry"),
        (RULE.replace("reviews.example.com", "taken.example.com"), "taken.example.com"),
    ],
)
async def test_nothing_is_published_with_an_error(
    nacos: FakeNacos, tmp_path: Path, text: str, told: str
) -> None:
    nacos.documents["another.yaml"] = RULE.replace("reviews.example.com", "taken.example.com")
    code, printed = await grayplane(nacos, "publish", rule_file(tmp_path, text), "--yes")
    assert code == 1
    assert told in printed
    assert "nothing was published" in printed
    assert list(nacos.documents) == ["another.yaml"]


async def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    nacos.documents["reviews.yaml"] = RULE

    def edit(body: Json) -> None:
        nacos.documents["reviews.yaml"] = RULE + "# somebody else\n"

    nacos.before["ConfigPublishRequest"] = edit
    code, printed = await grayplane(nacos, "publish", rule_file(tmp_path, RULE + "# me\n"), "--yes")
    assert code == 1
    assert "reviews.yaml was changed in Nacos meanwhile" in printed
    assert nacos.documents["reviews.yaml"] == RULE + "# somebody else\n"


async def test_only_what_is_missing(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents["reviews.yaml"] = "baseline: broken"
    rule_file(tmp_path, RULE)
    rule_file(tmp_path, "u-1\nu-2\n", "vip.list")
    code, printed = await grayplane(nacos, "publish", "--if-missing", str(tmp_path))
    assert code == 0, printed
    assert nacos.documents == {"reviews.yaml": "baseline: broken", "vip.list": "u-1\nu-2\n"}


async def test_pull(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents = {"reviews.yaml": RULE, "README.md": "not ours"}
    there = tmp_path / "there"
    code, printed = await grayplane(nacos, "pull", str(there))
    assert code == 0, printed
    assert [path.name for path in there.iterdir()] == ["reviews.yaml"]
    (there / "reviews.yaml").write_text("mine")
    code, printed = await grayplane(nacos, "pull", str(there))
    assert (code, (there / "reviews.yaml").read_text()) == (2, "mine")
    code, printed = await grayplane(nacos, "pull", str(there), "--yes")
    assert (code, (there / "reviews.yaml").read_text()) == (0, RULE)


async def test_history_and_rollback(nacos: FakeNacos) -> None:
    older, old, now = (RULE.replace("95", str(weight)) for weight in (90, 80, 70))
    nacos.documents["reviews.yaml"] = now
    nacos.history["reviews.yaml"] = [older, old]
    code, printed = await grayplane(nacos, "history", "reviews")
    assert code == 0, printed
    assert [line.split() for line in printed.splitlines()] == [
        ["2", "2025-11-24T16:00:00+00:00", "changed", "ann"],
        ["1", "2025-11-24T16:00:00+00:00", "changed", "ann"],
    ]
    code, printed = await grayplane(nacos, "rollback", "reviews", "--yes")
    assert (code, nacos.documents["reviews.yaml"]) == (0, old), printed
    code, printed = await grayplane(nacos, "rollback", "reviews", "--to", "1", "--yes")
    assert (code, nacos.documents["reviews.yaml"]) == (0, older), printed


async def test_programs_are_told_in_json(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents["reviews.yaml"] = RULE
    nacos.history["reviews.yaml"] = [RULE + "# older\n"]
    edited = rule_file(tmp_path, RULE + "# new\n")
    for arguments, outcome in (
        (("publish", edited, "--dry-run"), "would change"),
        (("publish", edited, "--yes"), "published"),
        (("publish", edited, "--yes"), "unchanged"),
        (("rollback", "reviews", "--yes"), "published"),
    ):
        code, printed = await grayplane(nacos, *arguments, "--output", "json")
        [document] = json.loads(printed)["documents"]
        assert (code, document["document"], document["outcome"]) == (0, "reviews.yaml", outcome)
    code, printed = await grayplane(nacos, "pull", str(tmp_path / "there"), "--output", "json")
    assert (code, json.loads(printed)["documents"]) == (0, ["reviews.yaml"])


async def test_on_files_it_says_why_not() -> None:
    code, printed = await grayplane(None, "rollback", "reviews")
    assert code == 2
    assert "source is files: files have no history here: keep them in git" in printed
