"""`grayplane explain`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from xds.cli.api_client import ApiClient, TokenFlag
from xds.cli.documents import contents_of, in_store, parse_beside
from xds.cli.errors import FAILED, MISUSED, fail, settings_errors
from xds.cli.output import OutputFlag, show_json
from xds.cli.serve import ConfigFlag
from xds.routing import Request, Routing, Surroundings, routing_of
from xds.routing.explanation import Explanation, explain
from xds.rules.instance import ServiceId
from xds.settings import Settings, load

_HeaderFlag = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="NAME=VALUE", help="A header of the request; may be repeated."),
]
_CookieFlag = Annotated[
    list[str] | None,
    typer.Option("--cookie", metavar="NAME=VALUE", help="A cookie of the request; may be repeated."),
]
_FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE...]",
        help="Documents, or directories of them. Default: the rules of the settings' file source.",
        show_default=False,
    ),
]


def explain_command(
    service: Annotated[str, typer.Argument(help="The service that is asked.", show_default=False)],
    files: _FilesArgument = None,
    *,
    uri: Annotated[str, typer.Option("--uri", help="Path and query.")] = "/",
    method: Annotated[str, typer.Option("--method", "-X")] = "GET",
    header: _HeaderFlag = None,
    cookie: _CookieFlag = None,
    source_ip: Annotated[str | None, typer.Option("--source-ip", help="The client's address.")] = None,
    at: Annotated[
        datetime | None, typer.Option("--at", help="The time, for schedules; without a zone, UTC.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="Ask a running server by its HTTP port: by what is in force there, not by files.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="The namespace at the server; '' is the default one.")
    ] = "",
    token: TokenFlag = None,
    config: ConfigFlag = None,
    output: OutputFlag = "text",
) -> None:
    """Say which rule decides for a request and why, and where the request goes.

    It evaluates what documents mean, as they are in the files or at a running server, and asks no proxy.
    """
    headers = [_pair(text, "--header") for text in header or ()]
    if cookie:
        headers.append(("cookie", "; ".join("=".join(_pair(text, "--cookie")) for text in cookie)))
    request = Request(method, uri, tuple(headers), source_ip)
    if server is not None:
        if files or at is not None:
            fail(["--server answers by what is in force there now: give neither files nor --at"], MISUSED)
        found = _asked(ApiClient(server, token), ServiceId(namespace, service), request)
    else:
        with settings_errors():
            settings = load(config)
        time = at or datetime.now(UTC)
        if not time.tzinfo:
            time = time.replace(tzinfo=UTC)
        found = _as_json(explain(_routing(service, files, settings, time), request))
    if output == "json":
        show_json({"service": service, **found})
    else:
        _print(found)


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        fail([f"{flag} {text}: write NAME=VALUE"], MISUSED)
    return name, value


def _routing(service: str, files: list[Path] | None, settings: Settings, now: datetime) -> Routing:
    if not files and settings.source != "files":
        fail(["name the documents: the settings have no rules in files"], MISUSED)
    parsed = parse_beside(contents_of(files or [settings.files.rules], "stdin.yaml"), settings)
    store = in_store(parsed)
    named = ServiceId("", service)
    rule = store.rule(named)
    if rule is None:
        wrong = [str(problem) for problems in store.problems().values() for problem in problems]
        fail([*wrong, f"there is no document for the service {service}"], FAILED)
    lists, lanes = store.lists_of(named), store.lanes("").lanes
    surroundings = Surroundings(lists, lanes, settings.region_header, settings.bucket_by)
    return routing_of(service, rule, now, surroundings)


def _asked(api: ApiClient, service: ServiceId, request: Request) -> dict[str, Any]:
    """Return what a server says, in the form of `_as_json`."""
    body = {
        "service": service.name,
        "namespace": service.namespace,
        "method": request.method,
        "uri": request.target,
        "headers": {name: request.header(name.lower()) for name, _ in request.headers},
        "sourceIp": request.source,
    }
    told = api.post("/explain", body)
    considered = [{name: one[name] for name in ("rule", "percent", "why")} for one in told["considered"]]
    return {"considered": considered, "chances": told["chances"], "notes": told["notes"]}


def _as_json(explanation: Explanation) -> dict[str, Any]:
    considered = [
        {"rule": one.rule, "percent": one.probability * 100, "why": one.why} for one in explanation.considered
    ]
    chances = [{"to": name, "percent": probability * 100} for name, probability in explanation.chances()]
    return {"considered": considered, "chances": chances, "notes": list(explanation.notes)}


def _print(found: Mapping[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for one in found["considered"]:
        verdict = {0.0: "no", 100.0: "yes"}.get(one["percent"], f"{round(one['percent'], 4):g} %")
        console.print(Text.assemble((f"{one['rule']}: ", "bold"), f"{verdict}; {one['why']}"))
    console.print(Text.assemble(("\nit goes to", "bold")))
    for chance in found["chances"]:
        console.print(Text(f"  {chance['to']}  {round(chance['percent'], 4):g} %"))
    for note in found["notes"]:
        console.print(Text(f"  {note}", "dim"))
