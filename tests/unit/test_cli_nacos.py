"""`grayplane publish`, `pull`, `history` and `rollback`, against a Nacos 3 that a test sets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.harness.fake_nacos import FORBIDDEN, FakeNacos, Json, fake_nacos
from xds.cli.commands import app

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


@pytest.fixture(autouse=True)
def log_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run in the process of the tests, whose log they must not set up."""
    monkeypatch.setattr("xds.logs.configure", lambda *_: None)


async def run(*arguments: str) -> Result:
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


async def grayplane(nacos: FakeNacos | None, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and all it printed."""
    flags = ("--nacos", nacos.address) if nacos else ()
    result = await run(*arguments, *flags)
    return result.exit_code, result.output


async def documents_of(nacos: FakeNacos, *arguments: str) -> tuple[int, list[Json]]:
    """Run a command that tells programs; return its exit code and what it tells of documents."""
    result = await run(*arguments, "--nacos", nacos.address, "--output", "json")
    documents: list[Json] = json.loads(result.stdout)["documents"]
    return result.exit_code, documents


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


async def test_what_was_published_before_one_that_could_not_be_is_told(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    files = [rule_file(tmp_path, f"u-{number}\n", f"{number}.list") for number in range(3)]

    def edit(body: Json) -> None:
        if body["dataId"] == "1.list":
            nacos.documents["1.list"] = "somebody else\n"

    nacos.before["ConfigPublishRequest"] = edit
    code, told = await documents_of(nacos, "publish", *files, "--yes")
    outcomes = [(each["document"], each["outcome"]) for each in told]
    assert code == 1
    assert outcomes == [("0.list", "published"), ("1.list", "not published"), ("2.list", "not published")]
    assert nacos.documents == {"0.list": "u-0\n", "1.list": "somebody else\n"}


async def test_what_may_not_be_published_is_told_to_programs(nacos: FakeNacos, tmp_path: Path) -> None:
    good, bad = rule_file(tmp_path, "u-1\n", "vip.list"), rule_file(tmp_path, "hosts: [*oops", "bad.yaml")
    code, [first, second] = await documents_of(nacos, "publish", good, bad, "--yes")
    assert code == 1
    assert (first["document"], first["outcome"], second["outcome"]) == (
        "bad.yaml",
        "rejected",
        "not published",
    )
    assert first["problems"][0]["severity"] == "error"
    assert nacos.documents == {}


async def test_bytes_that_are_no_utf_8_are_not_published(nacos: FakeNacos, tmp_path: Path) -> None:
    path = tmp_path / "reviews.yaml"
    path.write_bytes(RULE.encode() + "# 灰度\n".encode("gbk"))
    code, printed = await grayplane(nacos, "publish", str(path), "--yes")
    assert (code, nacos.documents) == (1, {})
    assert "reviews.yaml:5:3: error: byte 0xbb is not UTF-8" in printed


async def test_every_difference_is_seen(nacos: FakeNacos, tmp_path: Path) -> None:
    """Also one of line ends alone, and nothing of a document steers the terminal."""
    nacos.documents["reviews.yaml"] = RULE
    for text, seen in (
        (RULE.replace("\n", "\r\n"), "+baseline: stable\\r"),
        (RULE.rstrip("\n"), "\\ No newline at end of file"),
        ("\ufeff" + RULE, "+\\ufeffhosts:"),
        (RULE + "# 灰度\x1b]0;x\x07\n", "error"),
    ):
        code, printed = await grayplane(nacos, "publish", rule_file(tmp_path, text), "--dry-run")
        assert seen in printed
        assert code == (seen == "error")
        assert "\x1b]" not in printed


async def test_of_a_long_difference_the_beginning_is_shown(nacos: FakeNacos, tmp_path: Path) -> None:
    vips = rule_file(tmp_path, "".join(f"u-{number}\n" for number in range(100_000)), "vip.list")
    code, printed = await grayplane(nacos, "publish", vips, "--yes")
    assert code == 0, printed
    assert "+u-400" in printed
    assert printed.splitlines()[-2:] == ["and 99,503 more lines", "vip.list: published"]


async def test_only_what_is_missing(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents["reviews.yaml"] = "baseline: broken"
    rule_file(tmp_path, RULE)
    rule_file(tmp_path, "u-1\nu-2\n", "vip.list")
    code, printed = await grayplane(nacos, "publish", "--if-missing", str(tmp_path))
    assert code == 0, printed
    assert nacos.documents == {"reviews.yaml": "baseline: broken", "vip.list": "u-1\nu-2\n"}


async def test_pull(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents = {"reviews.yaml": RULE, "README.md": "not ours", "../outside.yaml": RULE}
    there = tmp_path / "there"
    code, printed = await grayplane(nacos, "pull", str(there))
    assert code == 0, printed
    assert [path.name for path in there.iterdir()] == ["reviews.yaml"]
    assert [path.name for path in there.parent.iterdir()] == ["there"], "no name leads out of the directory"
    (there / "reviews.yaml").write_text("mine")
    code, printed = await grayplane(nacos, "pull", str(there))
    assert (code, (there / "reviews.yaml").read_text()) == (2, "mine")
    code, printed = await grayplane(nacos, "pull", str(there), "--yes")
    assert (code, (there / "reviews.yaml").read_text()) == (0, RULE)


async def test_encrypted_documents_are_left_alone(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents = {"cipher-aes-reviews.yaml": "Zm9v", "ratings.yaml": "hosts: [ratings.example.com]\n"}
    code, printed = await grayplane(nacos, "pull", str(tmp_path / "there"))
    assert (code, printed) == (0, f"1 document in {tmp_path / 'there'}\n")
    code, printed = await grayplane(
        nacos, "publish", rule_file(tmp_path, RULE, "cipher-aes-reviews.yaml"), "--yes"
    )
    assert code == 2
    assert "cipher-aes-reviews.yaml is the name of an encrypted configuration" in printed


async def test_what_nacos_does_not_let_one_do(nacos: FakeNacos, tmp_path: Path) -> None:
    nacos.documents["reviews.yaml"] = RULE
    nacos.instead["ConfigPublishRequest"] = FORBIDDEN
    code, printed = await grayplane(nacos, "publish", rule_file(tmp_path, RULE + "# me\n"), "--yes")
    assert code == 1
    assert "does not let 'anonymous' write documents of group GRAY_GROUP in namespace 'public'" in printed
    assert "reviews.yaml: not published" in printed


async def test_a_namespace_that_is_none(nacos: FakeNacos, tmp_path: Path) -> None:
    """Nacos would take documents for it, and nobody would read them."""
    nacos.namespaces["4f1c"] = "prod"
    file = rule_file(tmp_path, RULE)
    code, printed = await grayplane(nacos, "publish", file, "--yes", "--namespace", "prod")
    assert (code, nacos.documents) == (2, {})
    assert "nacos.namespace is 'prod', a namespace's name: write its id, '4f1c'" in printed
    code, printed = await grayplane(nacos, "publish", file, "--yes", "--namespace", "4f1c")
    assert (code, [*nacos.documents]) == (0, ["reviews.yaml"]), printed


async def test_nothing_to_publish(nacos: FakeNacos, tmp_path: Path) -> None:
    code, printed = await grayplane(nacos, "publish", str(tmp_path), "--yes")
    assert (code, "there is no document: no file ends in .yaml" in printed) == (2, True)


@pytest.mark.slow
async def test_nacos_is_down(tmp_path: Path) -> None:
    file = rule_file(tmp_path, RULE)
    for command in (("publish", file, "--yes"), ("pull", str(tmp_path / "there")), ("rollback", "reviews")):
        code, printed = await grayplane(None, *command, "--nacos", "127.0.0.1:1")
        assert code == 1
        assert printed == (
            "grayplane: Nacos 127.0.0.1:1 cannot be reached on its gRPC port 1001: connection refused\n"
        )


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
    code, printed = await grayplane(nacos, "rollback", "reviews", "--to", "99", "--yes")
    assert (code, nacos.documents["reviews.yaml"]) == (1, older)
    assert "reviews.yaml has no change 99 in its history" in printed
    code, printed = await grayplane(nacos, "rollback", "unknown", "--yes")
    assert (code, "unknown.yaml was never changed" in printed) == (1, True)


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
