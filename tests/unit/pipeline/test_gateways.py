"""Wildcard hosts on gateways that cannot serve them."""

from xds.pipeline.gateways import refuse_wildcards
from xds.rules.parse import parse

DOCUMENT = b"""\
service: reviews
gateways: [edge, inner]
hosts:
  - reviews.example.com
  - "*.example.com"
"""


def test_a_wildcard_on_a_scoped_gateway_is_an_error_at_its_place() -> None:
    parsed = refuse_wildcards(
        "reviews.yaml", parse("reviews.yaml", DOCUMENT), lambda gateway: gateway == "inner"
    )
    assert parsed.rule is None
    [problem] = parsed.problems
    assert (problem.line, problem.column, problem.path) == (5, 5, "hosts[1]")
    assert "inner" in problem.message
    assert "shared" in problem.hint


def test_on_shared_gateways_it_is_none() -> None:
    parsed = parse("reviews.yaml", DOCUMENT)
    assert parsed.rule is not None
    assert refuse_wildcards("reviews.yaml", parsed, lambda _: False) is parsed


def test_exact_hosts_may_be_on_any_gateway() -> None:
    parsed = parse("reviews.yaml", b"hosts: [reviews.example.com]")
    assert refuse_wildcards("reviews.yaml", parsed, lambda _: True) is parsed


def test_a_document_that_is_broken_stays_as_it_is() -> None:
    parsed = parse("reviews.yaml", b"nonsense: true")
    assert refuse_wildcards("reviews.yaml", parsed, lambda _: True) is parsed
