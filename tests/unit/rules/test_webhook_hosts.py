"""Which hosts webhooks may call, by what operators write and authors try."""

import pytest

from xds.documents.problem import Severity
from xds.rules.parse import parse
from xds.rules.webhook_hosts import WebhookHosts, check_pattern, is_this_machine
from xds.settings import Settings

ANY = ("*",)


@pytest.mark.parametrize(
    ("patterns", "url", "allowed"),
    [
        (ANY, "https://ci.example.com/smoke", True),
        (ANY, "http://127.0.0.1:8000/", True),
        (ANY, "http://10.0.0.7/", True),
        (ANY, "http://169.254.169.254/latest/meta-data/", False),
        (ANY, "http://169.254.169.254.:80/", False),
        (ANY, "http://[::ffff:169.254.169.254]/", False),
        (ANY, "http://[64:ff9b::a9fe:a9fe]/", False),
        (ANY, "http://[fe80::1]/", False),
        (ANY, "http://[fd00:ec2::254]/", False),
        (ANY, "http://100.100.100.200/", False),
        (ANY, "http://168.63.129.16/", False),
        (ANY, "http://user:password@169.254.169.254/", False),
        (ANY, "http://\uff11\uff16\uff19.254.169.254/", False),
        (ANY, "http://[::1/", False),
        (("*", "169.254.169.254"), "http://169.254.169.254/", True),
        (("*", "169.254.169.254"), "http://169.254.169.253/", False),
        (("ci.example.com",), "https://ci.example.com/", True),
        (("ci.example.com",), "https://CI.Example.com.:8443/", True),
        (("ci.example.com",), "https://ci.example.com.evil.example/", False),
        (("ci.example.com",), "https://ci.example.com@evil.example/", False),
        (("ci.example.com",), "https://evil.example/?ci.example.com", False),
        (("ci.example.com",), "http://10.0.0.7/", False),
        (("*.example.com",), "https://a.b.example.com/", True),
        (("*.example.com",), "https://example.com/", False),
        (("*.example.com",), "https://evilexample.com/", False),
        (("10.0.0.0/8",), "http://10.1.2.3:8080/", True),
        (("10.0.0.0/8",), "http://11.1.2.3/", False),
        (("10.0.0.0/8",), "http://ten.example.com/", False),
        (("fd12::/16",), "http://[fd12::7]/", True),
        ((), "https://ci.example.com/", False),
    ],
)
def test_hosts_that_may_be_called(patterns: tuple[str, ...], url: str, allowed: bool) -> None:
    assert (WebhookHosts(patterns).problem_of(url) is None) is allowed


@pytest.mark.parametrize(
    ("address", "known"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", True), ("::ffff:127.0.0.1", True),
     ("10.0.0.7", False), ("localhost", False)],
)  # fmt: skip
def test_addresses_of_this_machine(address: str, known: bool) -> None:
    assert is_this_machine(address) is known


@pytest.mark.parametrize("pattern", ["", "**", "a.*", "http://a", "a:80", "-a", "10.0.0.0/64", "a b", "*."])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is not a host such as ci\.example\.com"):
        check_pattern(pattern)
    with pytest.raises(ValueError, match="webhook_hosts"):
        Settings.model_validate({"rollouts": {"webhook_hosts": [pattern]}})


DOCUMENT = b"""\
hosts: [reviews.example.com]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http: [{name: all, route: [{subset: stable, weight: 100}, {subset: gray, weight: 0}]}]
rollout:
  subset: gray
  steps: [{weight: 5}, {weight: 100}]
  analysis:
    webhooks:
      - {name: good, url: "https://ci.example.com/"}
      - name: bad
        url: http://169.254.169.254/latest/meta-data/
"""


def test_an_author_is_told_the_line() -> None:
    parsed = parse("reviews.yaml", DOCUMENT)
    [problem] = parsed.problems
    assert (problem.line, problem.path) == (12, "rollout.analysis.webhooks[1].url")
    assert problem.severity is Severity.ERROR
    assert problem.message == "169.254.169.254 may not be called: clouds have credentials there"
    assert problem.hint == "the operator allows * (rollouts.webhook_hosts)"
    assert parsed.content is None


def test_a_text_that_was_in_force_stays_so_when_the_operator_takes_a_host_off() -> None:
    hosts = WebhookHosts(("*.internal",))
    assert len(parse("reviews.yaml", DOCUMENT, webhook_hosts=hosts).problems) == 2
    parsed = parse("reviews.yaml", DOCUMENT, webhook_hosts=hosts, was_in_force=True)
    assert parsed.rule
    assert {problem.severity for problem in parsed.problems} == {Severity.WARNING}
