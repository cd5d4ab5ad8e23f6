"""The API of a real Grayplane keeps to its own description, whatever it is asked."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.harness import PATIENCE
from tests.harness.grayplane import Grayplane

RULE = """\
hosts: [reviews.example.com]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http:
  - name: ramp
    route: [{subset: stable, weight: 95}, {subset: gray, weight: 5}]
rollout: {subset: gray, steps: [{weight: 10, approval: true}, {weight: 100}]}
"""
INSTANCES = [{"address": "127.0.0.1", "port": 9 + n, "metadata": {"version": f"v{n}"}} for n in (1, 2)]

# What is there, what nearly is, and what has broken servers before.
NAMES = (
    *("reviews", "reviews.yaml", "broken.yaml", "people.list", "lanes.yaml", ".reviews.yaml.new", ".", ".."),
    *("../reviews.yaml", "../../etc/passwd", "/etc/passwd", "a/b", "reviews.yaml/", "\0", "\n", "\ud800", ""),
    *("x.yaml\0.list", "x.yaml", "reviews/pause"),
    *("评论", "a" * 300, "%2e%2e", "{service}", "<script>", "http://[", "reviews;", "promote"),
)
TEXTS = (
    *(RULE, RULE.replace("gray,", "gry,"), "hosts: [", "- 1", "", "\0", "\ud800", "&a [*a, *a]", "{" * 2000),
    *("http: [{route: [{subset: stable, weight: 1e999}]}]", "service: other\nhosts: ['*']\n", "a\nb\n"),
    *("http: [{match: [{uri: {regex: '(a+)+$'}}]}]", "!!python/object/apply:os.system [id]", "? {a: b}\n: c"),
)
VALUES = {"name": NAMES, "service": NAMES, "after": NAMES, "namespace": NAMES, "search": NAMES, "text": TEXTS}


def value(schema: Mapping[str, Any], root: Mapping[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values that mostly fit a schema of the description."""
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return value(found, root, name)
    if "anyOf" in schema:
        return st.one_of([value(each, root, name) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "none"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            fields = {key: value(each, root, key) for key, each in schema["properties"].items()}
            required = {key: fields.pop(key) for key in schema.get("required", ())}
            return st.fixed_dictionaries(required, optional=fields)
        case "object":
            texts = st.text(max_size=10)
            return st.dictionaries(texts, value(schema.get("additionalProperties") or {}, root), max_size=3)
        case "integer":
            return st.sampled_from([1, 2, 500, 501, 0, -1, 10**30])
        case "null":
            return st.none()
        case "string":
            known = VALUES.get(name, ("GET", "/", "/a?gray=1", "127.0.0.1", "no address", "\ud800"))
            return st.sampled_from(known) | st.text(max_size=30)
        case other:
            raise AssertionError(f"{name}: no values for {other}")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def escaped(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


class Description:
    """What ``/openapi.json`` says."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self.described = described
        self.operations = [
            (method, path, operation)
            for path, methods in described["paths"].items()
            if path != "/events"
            for method, operation in methods.items()
        ]

    def requests(self, draw: st.DrawFn) -> tuple[str, str, bytes | None, Mapping[str, Any]]:
        """A request to one of the paths: method, target, body, and what is said of the path."""
        method, path, operation = draw(st.sampled_from(self.operations))
        query = []
        for parameter in operation.get("parameters", ()):
            name = parameter["name"]
            kind = "name" if name == "proxy_id" else name
            if parameter["in"] == "path":
                chosen = draw(value(parameter["schema"], self.described, kind))
                hypothesis.assume(chosen not in {".", ".."})  # the client resolves them
                path = path.replace(f"{{{name}}}", escaped(str(chosen)))
            elif draw(st.booleans()):
                chosen = draw(value(parameter["schema"], self.described, kind))
                query.append(f"{name}={escaped(str(chosen))}")
        body = None
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            given = draw(value(content["schema"], self.described) | ANYTHING)
            body = draw(st.just(json.dumps(given).encode()) | st.binary(max_size=20))
        return method.upper(), f"{path}?{'&'.join(query)}", body, operation

    def problem_of(self, answer: httpx.Response, operation: Mapping[str, Any]) -> str | None:
        """What is wrong with an answer, if anything is."""
        status = answer.status_code
        if status >= 500:
            return "the server failed"
        said = operation["responses"].get(str(status)) or operation["responses"]["default"]
        if status < 400 and str(status) not in operation["responses"]:
            return f"{status} is not described"
        content = said.get("content")
        if not content:
            return "there is a body" if answer.content else None
        kind = answer.headers["content-type"]
        if kind not in content:
            return f"{kind} is not described"
        schema = {**content[kind]["schema"], "components": self.described["components"]}
        return next((each.message for each in Draft202012Validator(schema).iter_errors(answer.json())), None)


def ask_much(base: str) -> int:
    """Ask for anything; return how many answers were good."""
    good = 0
    with httpx.Client(base_url=base, trust_env=False, timeout=PATIENCE) as http:
        description = Description(http.get("/openapi.json").json())

        @hypothesis.settings(max_examples=600, deadline=None, database=None, derandomize=True)
        @hypothesis.given(st.data())
        def ask(data: st.DataObject) -> None:
            nonlocal good
            method, target, body, operation = data.draw(st.composite(description.requests)())
            headers = {"content-type": "application/json"} if body is not None else {}
            answer = http.request(method, httpx.URL(f"{base}{target}"), content=body, headers=headers)
            problem = description.problem_of(answer, operation)
            assert problem is None, (method, target, body, answer.status_code, answer.text[:300], problem)
            good += answer.is_success

        ask()
    return good


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.slow
async def test_every_answer_is_as_described(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path)
    grayplane.rule("reviews.yaml", RULE)
    grayplane.rule("broken.yaml", "hosts: [")
    grayplane.rule("people.list", "ann\n")
    grayplane.listed("reviews", INSTANCES)
    async with grayplane:
        base = f"http://127.0.0.1:{grayplane.http_port}/api/v1"
        assert await asyncio.to_thread(ask_much, base) > 100
        assert not [entry for entry in grayplane.log() if "exception" in entry]
    assert entries(tmp_path) == {"rules", "services", "state", "grayplane.log"}
