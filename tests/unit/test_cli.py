import json
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from xds.cli.commands import app
from xds.http.access import digest
from xds.settings import load

GOOD = """\
service: reviews
hosts: [reviews.example.com]
subsets:
  stable: {labels: {version: v1}}
baseline: stable
"""


def grayplane(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rule_file(directory: Path, name: str, text: str) -> Path:
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("asked", ["version", "--version", "-V"])
def test_version(asked: str) -> None:
    assert grayplane(asked).stdout == f"grayplane {version('grayplane')}\n"


def test_a_good_document_is_ok(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", GOOD)
    result = grayplane("validate", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}: ok\n")


def test_a_problem_is_shown_in_its_line_with_what_would_be_right(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", GOOD.replace("baseline: stable", "baseline: stabel"))
    result = grayplane("validate", file)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f'{file}:5:11: error: baseline: there is no subset "stabel"',
        "    5 | baseline: stabel",
        "      |           ^",
        "      did you mean stable?",
    ]


def test_all_files_are_checked(tmp_path: Path) -> None:
    good = rule_file(tmp_path, "reviews.yaml", GOOD)
    bad = rule_file(tmp_path, "ratings.yaml", "- 1")
    result = grayplane("validate", bad, good)
    assert result.exit_code == 1
    assert f"{bad}:1:1: error:" in result.stdout
    assert f"{good}: ok" in result.stdout


def test_a_directory_stands_for_its_documents(tmp_path: Path) -> None:
    files = [rule_file(tmp_path, name, f"service: {name[0]}\n") for name in ("a.yaml", "b.yml", "c.json")]
    rule_file(tmp_path, "notes.txt", "no rule")
    result = grayplane("validate", tmp_path)
    assert result.stdout.splitlines() == [f"{file}: ok" for file in files]


def test_documents_are_checked_beside_each_other(tmp_path: Path) -> None:
    one = rule_file(tmp_path, "a.yaml", "service: reviews\n")
    other = rule_file(tmp_path, "b.yaml", "service: reviews\n")
    result = grayplane("validate", one, other)
    assert result.exit_code == 1
    assert f"{one}: ok\n{other}:1:10: error: service: {one} is for this service" in result.stdout


def test_standard_input_is_a_document() -> None:
    result = CliRunner().invoke(app, ["validate", "-"], input=GOOD)
    assert (result.exit_code, result.stdout) == (0, "stdin.yaml: ok\n")
    result = CliRunner().invoke(app, ["validate", "-", "--name", "vip.list"], input="a\n\x00\n")
    assert result.exit_code == 1
    assert result.stdout.startswith("vip.list:2:1: error: the character U+0000")


def test_what_gateways_can_serve_is_taken_from_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = rule_file(tmp_path, "reviews.yaml", 'hosts: ["*.example.com"]\n')
    assert grayplane("validate", file).exit_code == 0
    config = rule_file(tmp_path, "settings.yaml", "edge: {routes: scoped}\n")
    result = grayplane("validate", file, "--config", config)
    assert result.exit_code == 1
    assert "gateway edge serves exact hosts only" in result.stdout
    monkeypatch.setenv("GRAYPLANE_EDGE__ROUTES", "scoped")
    assert grayplane("validate", file).exit_code == 1


def test_a_broken_list_beside_a_document_is_none_of_its_problems(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", GOOD)
    rule_file(tmp_path, "vip.list", "a\x00\n")
    assert grayplane("validate", file).stdout == f"{file}: ok\n"


def test_diff_says_what_changes_for_whom(tmp_path: Path) -> None:
    split = "http: [{name: ramp, route: [{subset: stable, weight: %d}, {subset: gray, weight: %d}]}]\n"
    gray = GOOD.replace("subsets:\n", "subsets:\n  gray: {labels: {version: v2}}\n")
    old = rule_file(tmp_path, "old.yaml", gray + split % (95, 5))
    new = rule_file(tmp_path, "new.yaml", gray + split % (75, 25))
    assert grayplane("diff", old, new).stdout.splitlines() == [
        "The document of reviews",
        "  ~ http[ramp].route[stable].weight: 95 → 75",
        "  ~ http[ramp].route[gray].weight: 5 → 25",
        "",
        "Where requests go now, and would go",
        (
            "  everybody else: 20 % of the requests go from stable to gray; "
            "75 % of the requests stay at stable; 5 % of the requests stay at gray"
        ),
    ]
    assert "  says the same" in grayplane("diff", new, new).stdout
    broken = rule_file(tmp_path, "broken.yaml", "hosts: 1")
    result = grayplane("diff", old, broken)
    assert result.exit_code == 1
    assert "expected a list" in result.stderr


def test_fmt_lays_documents_out_and_keeps_comments(tmp_path: Path) -> None:
    messy = "# a comment\nservice:   reviews\nhosts:   [a.example.com]\n"
    neat = "# a comment\nservice: reviews\nhosts: [a.example.com]\n"
    file = rule_file(tmp_path, "reviews.yaml", messy)
    result = grayplane("fmt", "--check", file)
    assert (result.exit_code, result.stdout) == (1, f"{file}: would be laid out anew\n")
    result = grayplane("fmt", "--diff", file)
    assert (result.exit_code, file.read_text()) == (1, messy)
    assert "+hosts: [a.example.com]" in result.stdout
    result = grayplane("fmt", file)
    assert (result.exit_code, file.read_text()) == (0, neat)
    assert grayplane("fmt", "--check", tmp_path).exit_code == 0
    result = CliRunner().invoke(app, ["fmt", "-"], input=messy)
    assert (result.exit_code, result.stdout) == (0, neat)
    assert grayplane("fmt", rule_file(tmp_path, "broken.yaml", "a: [")).exit_code == 1


def test_import_writes_documents_and_tells_what_it_left(tmp_path: Path) -> None:
    manifests = Path(__file__).parent / "rules" / "istio" / "bookinfo.yaml"
    result = grayplane("import", "istio", manifests, "--output", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'reviews.yaml'}: written\n")
    assert "spec.http[0].corsPolicy cannot be carried over" in result.stderr
    assert grayplane("validate", tmp_path / "reviews.yaml").exit_code == 0
    assert grayplane("fmt", "--check", tmp_path / "reviews.yaml").exit_code == 0
    assert grayplane("import", "istio", manifests, "--output", tmp_path).exit_code == 1
    assert grayplane("import", "istio", manifests).stdout.startswith("# reviews.yaml\nservice: reviews\n")
    assert grayplane("import", "istio", tmp_path / "none.yaml").exit_code == 2


def test_lint_looks_at_the_instances_too(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", GOOD)
    services = tmp_path / "services"
    services.mkdir()
    out = "- {address: 10.0.0.1, port: 80, healthy: false, metadata: {version: v1}}"
    rule_file(services, "reviews.yaml", out)
    result = grayplane("lint", file, "--services", services)
    assert result.exit_code == 0
    assert (
        f"{file}:4:11: warning: subsets.stable: the one instance of stable is out of service" in result.stdout
    )
    assert result.stdout.splitlines()[-1] == f"{file}: ok"
    assert grayplane("lint", file, "--services", services, "--strict").exit_code == 1
    assert grayplane("lint", file, "--strict", "--services", tmp_path).exit_code == 1
    assert grayplane("validate", file).stdout == f"{file}: ok\n"


def test_a_naming_group_is_checked_where_the_settings_name_groups(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", GOOD + "group: ORDERS\n")
    assert grayplane("validate", file).exit_code == 0
    nacos = "source: nacos\nnacos:\n  server: nacos:8848\n"
    silent = rule_file(tmp_path, "silent.settings", nacos)
    assert grayplane("validate", file, "--config", silent).exit_code == 0, "the server's may name it"
    config = rule_file(tmp_path, "settings", nacos + "  naming_groups: [ORDERS_GROUP]\n")
    result = grayplane("validate", file, "--config", config)
    assert result.exit_code == 1
    assert f'{file}:6:8: error: group: no instances are taken from naming group "ORDERS"' in result.stdout


def test_warnings_leave_a_document_ok(tmp_path: Path) -> None:
    unreachable = (
        "http:\n  - {name: all, route: [{subset: stable}]}\n  - {name: some, route: [{subset: stable}]}\n"
    )
    result = grayplane("validate", rule_file(tmp_path, "reviews.yaml", GOOD + unreachable))
    assert result.exit_code == 0
    assert "warning" in result.stdout
    assert "reviews.yaml: ok" in result.stdout


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a:\n\tb", b"[" * 5000, b"service: \xe4\n", b"x" * 3_000]
)
def test_anything_else_is_an_error_that_can_be_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "reviews.yaml"
    file.write_bytes(content)
    result = grayplane("validate", file)
    assert result.exit_code == 1
    assert "error: " in result.stdout
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_the_caret_of_a_very_long_line_is_shown(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", "{" + '"service": "reviews",' + " " * 5000 + '"bogus": 1}')
    line, caret = [line for line in grayplane("validate", file).stdout.splitlines() if " | " in line]
    assert len(line) < 200
    assert line[caret.index("^") :].startswith('"bogus"')


def test_the_caret_stands_below_its_place_beside_wide_characters(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", '{"service": "reviews", "baseline": "灰度", "bogus": 1}')
    lines = grayplane("validate", file).stdout.splitlines()
    at = next(number for number, line in enumerate(lines, 1) if "error: bogus" in line)
    assert cell_len(lines[at][: lines[at].index('"bogus"')]) == lines[at + 1].index("^")


def test_a_document_does_not_steer_the_terminal(tmp_path: Path) -> None:
    file = rule_file(tmp_path, "reviews.yaml", 'baseline: "\\e]0;title\\a"\n# \x1b]0;title\x07\n')
    for command in ("validate", "lint"):
        assert "\x1b" not in grayplane(command, file).stdout
    rule_file(tmp_path, "reviews.yaml", 'baseline: "\\e]0;title\\a"\n')
    shown = grayplane("validate", file).stdout
    assert "\\x1b]0;title" in shown
    assert "\x1b" not in shown


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    assert grayplane("validate", tmp_path / "none.yaml").exit_code == 2


def test_bootstrap_prints_what_can_be_saved() -> None:
    result = grayplane("bootstrap", "sidecar", "--id", "s7", "--upstream", "reviews", "--upstream", "ratings")
    node = yaml.safe_load(result.stdout)["node"]
    assert (node["id"], node["metadata"]["upstreams"]) == ("s7", ["reviews", "ratings"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("bootstrap", "edge", "--xds", "grayplane"),
        ("bootstrap", "edge", "--xds", "grayplane:0"),
        ("bootstrap", "edge", "--service", "orders"),
        ("bootstrap", "edge", "--id", ""),
        ("bootstrap", "grpc-client"),
        ("bootstrap", "gateway"),
        ("token", "alice", "--role", "admin"),
        ("token", "alice", "--output", "xml"),
        ("serve", "--set", "xds.port"),
        ("serve", "--set", "xds.prot=1"),
        ("serve", "--source", "etcd"),
        ("serve", "--config", "no/such.yaml"),
        ("serve", "--rules", "no/such/directory"),
        ("demo", "--sample-ports", "1,2"),
        ("status", "--server", "127.0.0.1:18080"),
        ("status", "--server", "http://[::1"),
        ("proxies", "--server", "http://"),
    ],
)
def test_misuse_has_exit_code_2_and_no_traceback(arguments: tuple[str, ...]) -> None:
    result = grayplane(*arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_missing_directory_is_told_by_its_setting(tmp_path: Path) -> None:
    result = grayplane("serve", "--rules", tmp_path / "none", "--services", tmp_path)
    where = tmp_path / "none"
    assert result.stderr == (
        f"grayplane: files.rules: no directory {where}; name one by --rules, or use --nacos HOST:PORT\n"
    )


@pytest.mark.parametrize("command", [(), ("serve",), ("validate",), ("bootstrap",), ("demo",)])
def test_help_is_short_or_long(command: tuple[str, ...]) -> None:
    short, long = grayplane(*command, "-h"), grayplane(*command, "--help")
    assert short.exit_code == 0
    assert "Usage: " in short.stdout
    assert short.stdout == long.stdout


def test_a_new_token_comes_with_the_setting_that_lets_it_in(tmp_path: Path) -> None:
    made = json.loads(grayplane("token", "alice", "--role", "operator", "--output", "json").stdout)
    file = tmp_path / "grayplane.yaml"
    file.write_text(yaml.safe_dump({"http": {"tokens": [made["setting"]]}}), encoding="utf-8")
    [token] = load(file).http.tokens
    assert (token.name, token.role, token.sha256) == ("alice", "operator", digest(made["token"]))


SPLIT = """\
service: reviews
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http:
  - name: vip
    match: [{headers: {x-user-id: {in: {list: vip}}}}, {cookies: {vip: {present: true}}}]
    route: [{subset: gray}]
  - name: night
    match: [{schedule: {hours: ["22:00-06:00"], timezone: UTC}}]
    route: [{subset: gray}]
"""


@pytest.mark.parametrize(
    ("arguments", "line", "target"),
    [
        (["--header", "x-user-id=1"], 'vip: yes; x-user-id is in the list vip ("1")', "reviews|gray"),
        (["--cookie", "vip=", "--uri", "/a"], 'vip: yes; cookie vip is there ("")', "reviews|gray"),
        (
            ["--at", "2026-11-25T23:00:00"],
            "night: yes; schedule is open at 2026-11-25T23:00:00+00:00",
            "gray",
        ),
        (["--at", "2026-11-25T12:00:00"], "baseline: yes; every request matches", "reviews|stable"),
    ],
)
def test_a_request_is_explained(tmp_path: Path, arguments: list[str], line: str, target: str) -> None:
    rule_file(tmp_path, "reviews.yaml", SPLIT)
    rule_file(tmp_path, "vip.list", "1\n2\n")
    result = grayplane("explain", "reviews", tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    assert line in result.output
    assert f"{target}  100 %" in result.output


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["nothing"], "there is no document for the service nothing", 1),
        (["reviews", "--header", "x"], "--header x: write NAME=VALUE", 2),
    ],
)
def test_what_cannot_be_explained(tmp_path: Path, arguments: list[str], said: str, code: int) -> None:
    file = rule_file(tmp_path, "reviews.yaml", GOOD)
    result = grayplane("explain", arguments[0], file, *arguments[1:])
    assert result.exit_code == code
    assert said in result.output
