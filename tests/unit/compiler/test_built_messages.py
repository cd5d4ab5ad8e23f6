"""What the compiler builds unchecked would pass the checks (``xds.wire.build``)."""

from typing import Any

import pytest

from xds.compiler import actions, decisions, plain_routes, service
from xds.compiler.service import compile_routes
from xds.rules.parse import parse

DOCUMENT = b"""
hosts: [a.example.com, "*.b.example.com"]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http:
  - name: everything
    match:
      - uri: {prefix: /a, ignoreCase: true}
        method: {in: [GET, HEAD]}
        headers: {x: {exact: a}, y: {range: {start: 1, end: 5}}, z: {present: false}, w: {regex: "a+"}}
        cookies: {a: {prefix: a}, b: {present: true}, c: {suffix: z, not: true}}
        query: {q: {contains: x}, r: {present: true}}
      - uri: {regex: "/x/.*"}
      - uri: {exact: /b, not: true}
      - headers: {x: {exact: a, not: true, ignoreCase: true}}
    sticky: {header: x-user-id}
    route: [{subset: stable, weight: 1}, {subset: gray, weight: 2}]
    timeout: 3s
  - name: by-cookie
    match: [{uri: {prefix: /c}}]
    sticky: {cookie: user, ttl: 30d}
    route: [{subset: stable, weight: 1}, {subset: gray, weight: 2}]
  - name: ids
    match: [{headers: {x-user-id: {in: [MANY]}}}]
    route: [{subset: gray}]
"""


@pytest.mark.parametrize("ids", [3, 100], ids=["plain", "matcher"])
def test_checked_and_unchecked_messages_are_the_same(ids: int, monkeypatch: pytest.MonkeyPatch) -> None:
    many = ", ".join(f"user-{number}" for number in range(ids)).encode()
    parsed = parse("a.yaml", DOCUMENT.replace(b"MANY", many).replace(b"30d", b"720h"))
    assert parsed.rule, parsed.problems
    unchecked = compile_routes("a", parsed.rule)

    def checked(kind: Any, **fields: Any) -> Any:
        return kind(**fields)

    for module in (actions, decisions, plain_routes, service):
        monkeypatch.setattr(module, "build", checked)
    assert compile_routes("a", parsed.rule) == unchecked
