"""Both READMEs say the same, and name the commands and targets that there are."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.harness.pages import PAGES, ROOT, blocks, links, prose, text
from xds.cli.commands import app

READMES = ("README.md", "README.zh-CN.md")


def test_every_page_is_in_the_readme() -> None:
    linked = {link.target for link in links(ROOT / "README.md")}
    pages = {str(page.relative_to(ROOT)) for page in PAGES if not page.name.endswith(".zh-CN.md")}
    assert pages - linked == {"README.md"}


def test_both_readmes_have_the_same_sections() -> None:
    english, chinese = (re.findall(r"^#+ ", prose(ROOT / name), re.MULTILINE) for name in READMES)
    assert english == chinese


def test_both_readmes_link_to_the_same_pages() -> None:
    english, chinese = (
        sorted(link.target.partition("#")[0].replace(".zh-CN.md", ".md") for link in links(ROOT / name))
        for name in READMES
    )
    assert english == chinese


def test_both_readmes_have_the_same_code() -> None:
    english, chinese = (
        [re.sub(r" +#.*", "", code) for kind, code in blocks(name) if kind != "mermaid"] for name in READMES
    )
    assert english == chinese


def test_both_readmes_name_the_same_commands() -> None:
    english, chinese = (
        sorted(re.findall(r"`((?:make|grayplane|curl|for) [^`]+)`", prose(ROOT / name))) for name in READMES
    )
    assert english == chinese


def targets() -> set[str]:
    return {
        word
        for words in re.findall(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)
        for word in words.split()
    }


def of_help() -> set[str]:
    lines = re.findall(r"^\t@echo 'make (\S+(?: \| \S+)*)", text("Makefile"), re.MULTILINE)
    return {target for line in lines for target in line.split(" | ")}


def test_make_help_names_every_target() -> None:
    assert of_help() == targets() - {"help"}


def test_the_lines_of_make_help_are_in_columns() -> None:
    columns = {len(line) for line in re.findall(r"^\t@echo '(make .*?  +)", text("Makefile"), re.MULTILINE)}
    assert len(columns) == 1


def test_the_readme_names_every_target() -> None:
    code = " ".join(block.code for block in blocks("README.md"))
    assert (
        targets() - set(re.findall(r"\bmake (\S+)", code + prose(ROOT / "README.md").replace("`", " ")))
        == set()
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"(?:`|^ *)make ([a-z][\w-]*)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named - targets() == set()


def test_ci_runs_targets_that_exist() -> None:
    run = re.findall(r"^make (.*)$", text(".ci/run"), re.MULTILINE)
    named = {word for line in run for word in line.split()}
    assert named - targets() == set()
    assert {target for target in targets() if target.startswith("test")} <= named


def test_ci_is_what_the_readme_says() -> None:
    [said] = re.findall(r"runs `make ([^`]+)`", text("README.md"))
    assert said.split() == " ".join(re.findall(r"^make (.*)$", text(".ci/run"), re.MULTILINE)).split()


def test_the_rule_of_the_readme_and_the_error_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = next(block.code for block in blocks("README.md") if block.kind == "yaml")
    shown = next(block.code for block in blocks("README.md") if block.kind == "text")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "reviews.yaml"
    file.write_text(rule, encoding="utf-8")
    assert CliRunner().invoke(app, ["validate", "reviews.yaml"]).exit_code == 0
    file.write_text(rule.replace("{subset: gray, weight", "{subset: gry, weight"), encoding="utf-8")
    refused = CliRunner().invoke(app, ["validate", "reviews.yaml"])
    assert refused.exit_code == 1
    assert shown.partition("\n")[2].strip() in refused.output


def test_the_bootstraps_of_the_readme() -> None:
    code = "".join(block.code for block in blocks("README.md"))
    lines = re.findall(r"^ *grayplane (bootstrap .*?)(?: >.*)?$", code, re.MULTILINE)
    assert len(lines) == 2
    assert [CliRunner().invoke(app, shlex.split(line)).exit_code for line in lines] == [0, 0]
