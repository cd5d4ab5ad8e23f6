"""`grayplane status`, `grayplane proxies` and `grayplane top`: what a running server knows."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from xds.cli.api_client import DEFAULT_SERVER, ApiClient, ServerFlag, TokenFlag, name_in_path
from xds.cli.errors import fail
from xds.cli.output import Cell, OutputFlag, PlainTable, console, counted, printable_in, show_json, state
from xds.documents import stem_of

_PERIOD = 2.0
_GOOD = frozenset({"Programmed", "in step"})

NamespaceFlag = Annotated[
    str, typer.Option("--namespace", "-n", help="The namespace; '' is the default one.")
]
WatchFlag = Annotated[bool, typer.Option("--watch", "-w", help="Show it anew every two seconds.")]


def status(
    service: Annotated[
        str | None, typer.Argument(help="One service, or a document such as lanes.yaml.", show_default=False)
    ] = None,
    *,
    namespace: NamespaceFlag = "",
    watch: WatchFlag = False,
    output: OutputFlag = "text",
    server: ServerFlag = DEFAULT_SERVER,
    token: TokenFlag = None,
) -> None:
    """Show services and their documents: what is in force, who runs it, what is wrong.

    Exits with 1 if a document is rejected or quarantined.
    """
    api = ApiClient(server, token)
    if service is not None:
        found = shown(lambda: _service(api, service, namespace), _service_text, output, watch=watch)
    else:
        found = shown(lambda: _everything(api), _everything_text, output, watch=watch)
    if any(document["state"] in {"Rejected", "Quarantined"} for document in found["documents"]):
        raise typer.Exit(1)


def proxies(
    proxy: Annotated[str | None, typer.Argument(help="One proxy, by node.id.", show_default=False)] = None,
    *,
    only: Annotated[
        str | None,
        typer.Option("--state", help="Only those: in step, behind, rejected, unknown.", show_default=False),
    ] = None,
    watch: WatchFlag = False,
    output: OutputFlag = "text",
    server: ServerFlag = DEFAULT_SERVER,
    token: TokenFlag = None,
) -> None:
    """Show proxies and gRPC clients: in step or behind, and what they rejected."""
    api = ApiClient(server, token)
    if proxy is not None:
        path = f"/proxies/{name_in_path(proxy)}"
        shown(lambda: api.get(path), _proxy_text, output, watch=watch)
    else:
        shown(lambda: {"proxies": list(api.all("/proxies", state=only))}, _proxies_text, output, watch=watch)


def top(
    *,
    output: OutputFlag = "text",
    server: ServerFlag = DEFAULT_SERVER,
    token: TokenFlag = None,
) -> None:
    """Watch what needs attention: rollouts, documents and proxies that are not as they should be.

    As JSON it is printed once.
    """
    api = ApiClient(server, token)
    shown(lambda: _attention(api), _attention_text, output, watch=output == "text")


def shown(ask: Callable[[], Any], text: Callable[[Any], RenderableType], output: str, *, watch: bool) -> Any:
    """Show what is asked for, once or until Ctrl-C; return the last of it."""
    found = printable_in(ask())
    if output == "json":
        show_json(found)
        while watch:
            time.sleep(_PERIOD)
            found = ask()
            show_json(found)
    elif not watch:
        console().print(text(found))
    else:
        with Live(text(found), console=console(), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(_PERIOD)
                found = printable_in(ask())
                live.update(text(found), refresh=True)
    return found


def _everything(api: ApiClient) -> Any:
    return {
        "overview": api.get("/overview"),
        "services": list(api.all("/services")),
        "documents": list(api.all("/documents")),
    }


def _everything_text(found: Any) -> RenderableType:
    rows: list[list[Cell]] = [
        [
            _name(service),
            state(service["state"]),
            _splits(service["splits"]),
            "not watched" if service["instances"] is None else str(service["instances"]),
            state(service["rollout"]),
        ]
        for service in found["services"]
    ]
    bad: list[list[Cell]] = [
        [
            _name(document),
            state(document["state"]),
            document["problem"],
        ]
        for document in found["documents"]
        if document["state"] not in _GOOD
    ]
    parts: list[RenderableType] = [_overview_text(found["overview"]), Text()]
    parts.append(PlainTable(["service", "state", "split", "instances", "rollout"], rows))
    if bad:
        parts += [Text(), PlainTable(["document", "state", "problem"], bad)]
    return Group(*parts)


def _overview_text(overview: Any) -> Text:
    line = Text(f"Grayplane {overview['version']} on {overview['replica']}: ")
    line.append(f"{overview['services']['total']} services; documents: ")
    line.append(_counts(overview["documents"]))
    line.append("; proxies: ").append(_counts(overview["proxies"]))
    for source in overview["sources"]:
        line.append(f"\n{source['name']}: ")
        line.append(source["trouble"] or "well", style="bold red" if source["trouble"] else "green")
        line.append(f", serving from {source['servingFrom']}")
    return line


def _counts(counts: Any) -> str:
    states = ", ".join(f"{count} {name}" for name, count in sorted(counts["byState"].items()))
    return states or "none"


def _service(api: ApiClient, service: str, namespace: str) -> Any:
    """Return a service and its documents, also those that are not in force: there may be no service then."""
    found = api.find(f"/services/{name_in_path(service)}", namespace=namespace)
    listed = (each["name"] for each in api.all("/documents", search=service, namespace=namespace))
    names = {each for each in listed if service in {each, stem_of(each)}}
    if found and found["document"]:
        names.add(found["document"])
    if found is None and not names:
        fail([f"there is no service {service}, and no document of it"])
    paths = (f"/documents/{name_in_path(each)}" for each in sorted(names))
    return {"service": found, "documents": [api.get(path, namespace=namespace) for path in paths]}


def _service_text(found: Any) -> RenderableType:
    parts = [_only_service_text(found["service"])] if found["service"] else []
    return Text("\n").join([*parts, *map(_document_text, found["documents"])])


def _only_service_text(service: Any) -> Text:
    lines = Text(f"{_name(service)}  ").append(state(service["state"]))
    if service["instances"] is None:
        lines.append("\n  registered, and not watched: no rule and no proxy needs it")
    for split in service["splits"]:
        lines.append(f"\n  {split['rule']}: {_weights(split['weights'])}")
    for subset in service["subsets"]:
        labels = ", ".join(f"{key}={value}" for key, value in subset["labels"].items())
        baseline = ", baseline" if subset["baseline"] else ""
        lines.append(
            f"\n  subset {subset['name']} ({labels}{baseline}): {counted(subset['instances'], 'instance')}"
        )
    if service["rollout"]:
        lines.append("\n  rollout: ").append(state(service["rollout"]))
    return lines


def _document_text(document: Any) -> Text:
    text = Text(f"{document['name']}  ").append(state(document["state"]))
    proxies = document["proxies"]
    text.append(f"\n  revision {document['revision']}, in force {document['inForce'] or 'nothing'}")
    text.append(f"\n  proxies: {proxies['programmed']} of {proxies['of']}")
    if proxies["behind"]:
        text.append(f", behind: {', '.join(proxies['behind'])}")
    for problem in document["problems"]:
        at = f":{problem['line']}:{problem['column']}" if problem["line"] else ""
        where = f"{document['name']}{at}"
        field = f"{problem['field']}: " if problem["field"] else ""
        text.append(f"\n  {where}: {problem['severity']}: {field}{problem['problem']}")
        text.append(f" ({problem['hint']})" if problem["hint"] else "")
    for rejection in document["rejections"]:
        text.append(f"\n  {rejection['proxy']} rejected it: {rejection['reason']}", style="bold red")
    return text


def _proxies_text(found: Any) -> RenderableType:
    rows = [
        [
            proxy["id"],
            proxy["group"],
            proxy["role"],
            state(proxy["state"]),
            _ago(proxy["behindSince"]),
            proxy["version"],
            proxy["address"],
            _ago(proxy["connectedAt"]),
        ]
        for proxy in found["proxies"]
    ]
    titles = ["name", "group", "role", "state", "behind for", "version", "address", "connected for"]
    return PlainTable(titles, rows)


def _proxy_text(proxy: Any) -> RenderableType:
    text = Text(f"{proxy['id']}  ").append(state(proxy["state"]))
    text.append(f"\n  group {proxy['group']}, role {proxy['role']}, version {proxy['version']}")
    text.append(f"\n  {proxy['address']}, connected for {_ago(proxy['connectedAt'])}")
    if proxy["behindSince"]:
        text.append(f"\n  behind for {_ago(proxy['behindSince'])}")
    for lacking in proxy["lacks"]:
        text.append("\n  does not run yet: ").append(_revision(lacking), style="yellow")
    for running in proxy["runs"]:
        text.append(f"\n  runs {_revision(running)}")
    for rejection in proxy["rejections"]:
        text.append(
            f"\n  rejected {', '.join(rejection['resources'])}: {rejection['reason']}", style="bold red"
        )
    return text


def _revision(each: Mapping[str, str]) -> str:
    return f"{_full(each['namespace'], each['document'])}, revision {each['revision']}"


def _attention(api: ApiClient) -> Any:
    return {
        "overview": api.get("/overview"),
        "rollouts": list(api.all("/rollouts")),
        "documents": [
            document
            for wanted in ("Quarantined", "Rejected", "Waiting", "Programming")
            for document in api.get("/documents", state=wanted, limit=20)["items"]
        ],
        "proxies": [
            proxy
            for wanted in ("rejected", "unknown", "behind")
            for proxy in api.get("/proxies", state=wanted, limit=20)["items"]
        ],
    }


def _attention_text(found: Any) -> RenderableType:
    rollouts: list[list[Cell]] = [
        [
            _full(rollout["namespace"], rollout["service"]),
            state(rollout["phase"]),
            f"{rollout['step']} of {rollout['of']}",
            f"{rollout['weight']:g} %",
            rollout["verdict"],
            rollout["why"],
        ]
        for rollout in found["rollouts"]
    ]
    documents: list[list[Cell]] = [
        [_name(each), state(each["state"]), each["problem"]] for each in found["documents"]
    ]
    return Group(
        _overview_text(found["overview"]),
        *_section(["rollout", "phase", "step", "weight", "verdict", "why"], rollouts),
        *_section(["document", "state", "problem"], documents),
        *(() if not found["proxies"] else (Text(), _proxies_text(found))),
    )


def _section(titles: list[str], rows: list[list[Cell]]) -> Iterator[RenderableType]:
    if rows:
        yield Text()
        yield PlainTable(titles, rows)


def _name(each: Mapping[str, str]) -> str:
    return _full(each["namespace"], each["name"])


def _full(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _splits(splits: list[Any]) -> str:
    return "; ".join(f"{split['rule']}: {_weights(split['weights'])}" for split in splits)


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{subset} {percent:g} %" for subset, percent in weights.items())


def _ago(moment: str | None) -> str:
    """Say how long ago a time was, in the largest unit that fits."""
    if moment is None:
        return ""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"
