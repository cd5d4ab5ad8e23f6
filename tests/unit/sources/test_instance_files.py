"""Instance files: what they say, and where they are wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.rules.instance import Instance, Locality
from xds.sources.endpoint import LocalitySources
from xds.sources.files.instances import parse_instances


def test_an_instance_with_everything() -> None:
    text = b"""
- address: 10.0.0.1
  port: 8080
  weight: 2.5
  healthy: false
  metadata: {version: 1.10, zone: "eu"}
- {address: "::1", port: 9101}
"""
    assert parse_instances("reviews.yaml", text).instances == (
        Instance(
            *("10.0.0.1", 8080, 2.5),
            healthy=False,
            metadata={"version": "1.10", "zone": "eu"},
            locality=Locality(zone="eu"),
        ),
        Instance("::1", 9101),
    )


@pytest.mark.parametrize(
    ("sources", "locality"),
    [
        (LocalitySources(), Locality("cn", "a")),
        (LocalitySources("", "cluster"), Locality("", "hangzhou")),
        (LocalitySources("cluster", "metadata.rack.row"), Locality("hangzhou", "7")),
        (LocalitySources("metadata.none", ""), Locality()),
    ],
)
def test_where_an_instance_runs_is_read_where_a_setting_says(
    sources: LocalitySources, locality: Locality
) -> None:
    assert sources.of({"region": "cn", "zone": " a ", "rack.row": "7"}, "hangzhou") == locality


def test_what_is_no_text_is_made_text() -> None:
    assert LocalitySources().of({"zone": "\ud800"}) == Locality("", "?")


def test_an_address_may_be_a_host_name() -> None:
    text = b"- {address: Reviews.Internal, port: 80}"
    assert parse_instances("r.yaml", text).instances == (Instance("Reviews.Internal", 80),)


def test_json_is_yaml() -> None:
    text = b'[{"address": "10.0.0.1", "port": 80, "metadata": {"version": "v1"}}]'
    assert parse_instances("r.json", text).instances == (
        Instance("10.0.0.1", 80, metadata={"version": "v1"}),
    )


def test_numbers_may_be_quoted() -> None:
    text = b"- {address: 10.0.0.1, port: '80', weight: 1e1}\n- {address: 10.0.0.2, port: 80, weight: .5}\n"
    assert parse_instances("r.yaml", text).instances == (
        Instance("10.0.0.1", 80, 10.0),
        Instance("10.0.0.2", 80, 0.5),
    )


def test_an_empty_list_is_a_service_without_instances() -> None:
    assert parse_instances("r.yaml", b"[]").instances == ()


ONE = "- {address: 10.0.0.1, port: 80"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["r.yaml:1:1: error: the document is empty"]),
        ("a: 1", ["r.yaml:1:1: error: expected a list, found a mapping"]),
        ("- 5", ["r.yaml:1:3: error: [0]: expected a mapping, found the number 5 (such as {address"]),
        (f"{ONE}, wieght: 3}}", ["r.yaml:1:33: error: [0].wieght: unknown field (did you mean weight?)"]),
        (
            f"{ONE}, q: 3}}",
            ["r.yaml:1:33: error: [0].q: unknown field (there is address, healthy, metadata, port, weight)"],
        ),
        ("- port: 80", ["r.yaml:1:3: error: [0].address: is missing"]),
        (
            "- {address: a example, port: 80}",
            ["r.yaml:1:13: error: [0].address: 'a example' is neither an IP address nor a host name"],
        ),
        ("- {address: 10.0.0.256, port: 80}", ["r.yaml:1:13: error: [0].address: '10.0.0.256' is neither"]),
        ("- {address: 10.0.0.1, port: 0}", ["r.yaml:1:29: error: [0].port: port 0 is not between"]),
        (
            "- {address: 10.0.0.1, port: 80x}",
            ["r.yaml:1:29: error: [0].port: expected a whole number, found the text"],
        ),
        (f"{ONE}, weight: -1}}", ["r.yaml:1:41: error: [0].weight: weight -1 is not between 0 and 10000"]),
        (f"{ONE}, weight: nan}}", ["r.yaml:1:41: error: [0].weight: weight nan is not between"]),
        (f"{ONE}, healthy: maybe}}", ["r.yaml:1:42: error: [0].healthy: expected true or false"]),
        (
            f"{ONE}, metadata: {{a: [1]}}}}",
            ["r.yaml:1:47: error: [0].metadata.a: expected text, found a list"],
        ),
        (f"{ONE}, metadata: {{a: 1, a: 2}}}}", ["r.yaml:1:50: error: [0].metadata.a: is given twice"]),
        (f"{ONE}}}\n{ONE}}}", ["r.yaml:2:3: error: [1]: 10.0.0.1:80 is already in the list (keep one)"]),
        (
            "- {address: 10.0.0.1, port: 010}",
            ["r.yaml:1:29: error: [0].port: expected a whole number, found"],
        ),
        (
            f"{ONE}, healthy: yes}}",
            ["r.yaml:1:42: error: [0].healthy: expected true or false, found the text"],
        ),
        ("- a: \t x: 1\n -", ["r.yaml:1:"]),
        ("[" * 100_000, ["r.yaml:1:33: error: nested more than 32 levels"]),
        ("&a [*a]", ["r.yaml:1:1: error: anchors and aliases (&, *) are not supported"]),
        ("[]\n---\n[]", ["r.yaml:2:1: error: a second YAML document"]),
        (
            "- {address: x y, port: y}\n- z",
            ["r.yaml:1:13: error: [0].address", "r.yaml:1:24: error: [0].port", "r.yaml:2:3: error: [1]"],
        ),
    ],
)
def test_every_mistake_is_told_with_its_place(text: str, told: list[str]) -> None:
    parsed = parse_instances("r.yaml", text.encode())
    assert parsed.instances is None
    assert len(parsed.problems) == len(told)
    for problem, beginning in zip(parsed.problems, told, strict=True):
        assert str(problem).startswith(beginning)


def test_wrong_bytes_are_told_with_their_place() -> None:
    (problem,) = parse_instances("r.yaml", b"- a: 1\n  b: \xff").problems
    assert (
        str(problem)
        == "r.yaml:2:6: error: byte 0xff is not UTF-8 (save the document as UTF-8, not as GBK or Latin-1)"
    )


@given(st.binary() | st.text(alphabet="[]{}-:,&*a1\n \"'").map(str.encode))
def test_any_content_gives_instances_or_problems(content: bytes) -> None:
    parsed = parse_instances("r.yaml", content)
    assert (parsed.instances is None) == bool(parsed.problems)


def test_the_shipped_examples_are_right() -> None:
    directory = Path(__file__).parents[3] / "config" / "services"
    ports = {file.stem: _ports(file) for file in directory.iterdir()}
    assert ports == {"reviews": [9101, 9102], "ratings": [9103]}


def _ports(file: Path) -> list[int]:
    parsed = parse_instances(file.name, file.read_bytes())
    assert parsed.problems == ()
    return [instance.port for instance in parsed.instances or ()]
