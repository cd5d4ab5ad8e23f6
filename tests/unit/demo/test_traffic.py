import json
from io import StringIO

import pytest
from rich.console import Console

from xds.demo.traffic import WINDOW, Destination, Row, Traffic
from xds.demo.view import lines, table

V1, V2 = "127.0.0.1:9101", "127.0.0.1:9102"
STABLE = Destination("reviews", "ramp", "stable", "v1")
GRAY = Destination("reviews", "ramp", "gray", "v2")


def request(cluster: str | None, instance: str | None, *, rule: str = "ramp", code: int = 200) -> bytes:
    fields = {
        "authority": "reviews.example.com",
        "cluster": cluster,
        "upstream_host": instance,
        "route": rule,
        "response_code": code,
    }
    return json.dumps(fields).encode()


def traffic() -> Traffic:
    return Traffic({V1: "v1", V2: "v2"})


def test_requests_are_counted_by_rule_subset_and_version() -> None:
    counted = traffic()
    for _ in range(3):
        counted.add(request("reviews|stable", V1), 100)
    counted.add(request("reviews|gray", V2), 100.9)

    assert counted.rows(101) == [
        Row(GRAY, recent=1, share=0.25, total=1, failures=0),
        Row(STABLE, recent=3, share=0.75, total=3, failures=0),
    ]


def test_the_share_is_that_of_the_same_rule() -> None:
    counted = traffic()
    counted.add(request("reviews|stable", V1), 100)
    counted.add(request("reviews|gray", V2, rule="testers"), 100)
    assert [row.share for row in counted.rows(100)] == [1, 1]


def test_what_is_no_longer_recent_counts_in_the_total_alone() -> None:
    counted = traffic()
    counted.add(request("reviews|stable", V1), 100)
    assert counted.rows(100 + WINDOW - 1)[0].recent == 1

    [row] = counted.rows(100 + WINDOW)
    assert (row.recent, row.share, row.total) == (0, None, 1)


def test_a_version_answers_for_a_subset_without_instances() -> None:
    counted = traffic()
    counted.add(request("reviews|gray", V1), 100)
    assert counted.rows(100)[0].path == Destination("reviews", "ramp", "gray", "v1")


def test_a_service_without_subsets() -> None:
    counted = traffic()
    counted.add(request("ratings", "127.0.0.1:9103", rule="ratings"), 100)
    assert counted.rows(100)[0].path == Destination("ratings", "ratings", "", "127.0.0.1:9103")


def test_failures_are_errors_of_the_server_and_requests_without_an_answer() -> None:
    counted = traffic()
    for code in (200, 404, 500, 503, 0):
        counted.add(request("reviews|stable", V1, code=code), 100)
    assert counted.rows(100)[0].failures == 3


def test_a_request_that_no_route_took_is_told_by_its_host() -> None:
    counted = traffic()
    counted.add(request(None, None, rule="", code=404), 100)
    assert counted.rows(100)[0].path == Destination("", "reviews.example.com", "", "")
    assert lines(counted.rows(100)) == ["no such host reviews.example.com, last 10 s: nowhere 100.0% (1)"]


def test_lines_say_the_recent_split_of_each_rule() -> None:
    counted = traffic()
    counted.add(request("reviews|gray", V2, rule="testers"), 50)
    for _ in range(19):
        counted.add(request("reviews|stable", V1), 100)
    counted.add(request("reviews|gray", V2, code=503), 100)

    assert lines(counted.rows(100)) == [
        "reviews ramp, last 10 s: gray v2 5.0% (1, 1 failed so far); stable v1 95.0% (19)"
    ]


def test_the_table_has_a_row_for_each_path() -> None:
    counted = traffic()
    assert table(counted.rows(100), 160).row_count == 1  # that there are none yet
    for cluster, instance in (("reviews|stable", V1), ("reviews|gray", V2), (None, None)):
        counted.add(request(cluster, instance), 100)
    assert table(counted.rows(100), 160).row_count == 3


@pytest.mark.parametrize("width", [50, 60, 80, 110, 160])
def test_shares_and_counts_are_whole_on_a_terminal_of_any_width(width: int) -> None:
    counted = traffic()
    for _ in range(4321):
        counted.add(request("recommendations|stable", V1, rule="everybody-else-by-user-id"), 100)
    counted.add(request("reviews|gray", V2, rule="testers", code=503), 100)
    console = Console(width=width, file=StringIO())
    with console.capture() as captured:
        console.print(table(counted.rows(100), width))
    shown = captured.get()
    assert shown.count("100.0%") == 2
    assert shown.count("4321") == 2
    assert max(map(len, shown.splitlines())) <= width
