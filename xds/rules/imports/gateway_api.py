"""The Gateway API's HTTPRoute and GRPCRoute as rule documents.

There, versions of a service are Services of their own: each becomes a subset, and the selector of its Service
the labels. A route asks the most specific match first, wherever it stands, so each match becomes a rule.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy

from xds.rules.imports.manifest import Fields, Imported, Values, baseline_of, without_nothing

_ROUTES = {"HTTPRoute", "GRPCRoute"}
_KINDS = {*_ROUTES, "Service"}


def import_gateway_api(manifests: Iterable[Mapping[str, object]], gateway: str = "edge") -> Imported:
    """Return a rule document for each route, for a service of the route's name.

    The selectors of Services among the manifests become the labels of subsets. ``gateway`` is the proxy group
    that serves the hosts.
    """
    imported = Imported()
    selectors: dict[str, Values] = {}
    routes: list[tuple[str, str, Fields]] = []
    for manifest in manifests:
        root = Fields(manifest, "")
        kind, name = str(root.take("kind")), str(root.within("metadata").take("name"))
        spec = root.within("spec")
        if kind == "Service":
            selectors[name] = spec.take("selector") or {}
        elif kind in _ROUTES:
            routes.append((kind, name, spec))
        else:
            imported.notes.append(f"{kind} {name}: only {', '.join(sorted(_KINDS))} are imported")
    for kind, name, spec in routes:
        imported.documents[f"{name}.yaml"] = _document(
            kind, name, spec, selectors=selectors, gateway=gateway, notes=imported.notes
        )
    return imported


def _document(
    kind: str, name: str, spec: Fields, *, selectors: Mapping[str, Values], gateway: str, notes: list[str]
) -> Values:
    origin = f"{kind} {name}"
    parents = [str(parent.get("name")) for parent in spec.take("parentRefs") or []]
    ranked: list[tuple[tuple[int, ...], Values]] = []
    backends: list[str] = []
    for number, rule in enumerate(spec.each("rules"), 1):
        own = str(rule.take("name") or f"rule-{number}")
        matches = [_match(one, kind, origin, notes) for one in rule.each("matches")] or [{}]
        action, rewrite = _action(rule, origin, notes, backends)
        for match in matches:
            if match is not None and action is not None:
                ranked += [
                    (_rank(match), {"name": own, **one})
                    for one in _rules(match, action, rewrite, origin, notes)
                ]
    ranked.sort(key=lambda one: one[0])
    rules = _named([rule for _, rule in ranked])
    subsets = {backend: {"labels": _labels(backend, backends, selectors, notes)} for backend in backends}
    document: Values = {"service": name, "hosts": spec.take("hostnames")}
    if parents:
        document["gateways"] = [gateway]
        notes.append(f"{origin}: {', '.join(parents)} is the proxy group {gateway} here")
    notes.append(
        f"{origin}: the service is called {name} here; its subsets are {', '.join(backends) or 'none'}"
    )
    notes += [f"{origin}: {path} cannot be carried over" for path in spec.left()]
    if kind == "GRPCRoute":
        document["trafficPolicy"] = {"protocol": "grpc"}
    document["subsets"] = subsets
    if subsets:
        document["baseline"] = baseline_of(name, rules, subsets, notes)
    document["http"] = rules
    return without_nothing(document)


def _labels(backend: str, backends: list[str], selectors: Mapping[str, Values], notes: list[str]) -> Values:
    """Return what tells the instances of a backend from those of the others."""
    if not selectors.get(backend):
        notes.append(f"the labels of {backend} are made up: import its Service too, or write them")
        return {"version": backend}
    own = selectors[backend]
    others = [selectors.get(other, {}) for other in backends if other != backend]
    different = {key: value for key, value in own.items() if any(one.get(key) != value for one in others)}
    return different or own


def _match(match: Fields, kind: str, origin: str, notes: list[str]) -> Values | None:
    """Carry a match over; None if it asks for something that cannot be: it would match too much."""
    values: Values = {"uri": _method_path(match) if kind == "GRPCRoute" else _path(match.within("path"))}
    if kind != "GRPCRoute" and (method := match.take("method")):
        values["method"] = {"exact": method}
    for key, word in (("headers", "headers"), ("queryParams", "query")):
        values[word] = {}
        for one in match.each(key):
            operator = "regex" if one.take("type") == "RegularExpression" else "exact"
            values[word].setdefault(one.take("name"), {operator: one.take("value")})
    if left := list(match.left()):
        notes.append(f"{origin}: {match.path} is left out: {', '.join(left)} cannot be carried over")
        match.forget()
        return None
    return without_nothing(values)


def _path(path: Fields) -> Values:
    kind, value = path.take("type") or "PathPrefix", str(path.take("value") or "/")
    if kind == "PathPrefix":
        return {} if value == "/" else {"prefix": value.rstrip("/")}
    return {"exact" if kind == "Exact" else "regex": value}


def _method_path(match: Fields) -> Values:
    """Return the path of gRPC requests for a service and a method."""
    method = match.within("method")
    regex = method.take("type") == "RegularExpression"
    service, name = method.take("service"), method.take("method")
    if service is None and name is None:
        return {}
    if regex or service is None:
        return {"regex": f"/{service or '[^/]+'}/{name or '[^/]+'}"}
    return {"exact": f"/{service}/{name}"} if name else {"prefix": f"/{service}"}


def _rank(match: Values) -> tuple[int, ...]:
    """Return a key that sorts the most specific match first, as the Gateway API asks them."""
    uri = match.get("uri", {})
    kind = 0 if "exact" in uri else 1 if "regex" in uri else 2
    tests = (len(match.get("headers", {})), len(match.get("query", {})))
    return (kind, -len(uri.get("prefix", "")), -("method" in match), *(-count for count in tests))


def _action(rule: Fields, origin: str, notes: list[str], backends: list[str]) -> tuple[Values | None, Values]:
    """Return what a rule does, and how it changes the path.

    Return None, and leave a note, if that cannot be carried over.
    """
    action, rewrite = _filters(rule, backends)
    timeouts, retry = rule.within("timeouts"), rule.within("retry")
    action["timeout"] = timeouts.take("request")
    if (attempts := retry.take("attempts")) is not None:
        codes = [str(code) for code in retry.take("codes") or []]
        action["retries"] = without_nothing({"attempts": attempts, "retryOn": codes})
    route = []
    for backend in rule.each("backendRefs"):
        backend.take("port")
        name = str(backend.take("name"))
        if name not in backends:
            backends.append(name)
        route.append({"subset": name, "weight": backend.take("weight", 1)})
    if "redirect" in action:
        return without_nothing(action), rewrite
    if not any(one["weight"] for one in route):
        notes.append(f"{origin}: {rule.path} has no backends: such requests were answered 500; left out")
        return None, rewrite
    action["route"] = route if len(route) > 1 else [{"subset": route[0]["subset"]}]
    return without_nothing(action), rewrite


def _filters(rule: Fields, backends: list[str]) -> tuple[Values, Values]:
    action: Values = {"headers": {}}
    rewrite: Values = {}
    for one in rule.each("filters"):
        match one.take("type"):
            case "RequestHeaderModifier":
                action["headers"]["request"] = _header_changes(one.within("requestHeaderModifier"))
            case "ResponseHeaderModifier":
                action["headers"]["response"] = _header_changes(one.within("responseHeaderModifier"))
            case "RequestMirror":
                action["mirror"] = _mirror(one.within("requestMirror"), backends)
            case "RequestRedirect":
                action["redirect"] = _redirect(one.within("requestRedirect"))
            case "URLRewrite":
                rewrite = _rewrite(one.within("urlRewrite"))
            case other:
                one.put("type", other)
    return action, rewrite


def _header_changes(changes: Fields) -> Values:
    pairs = {key: {one["name"]: one["value"] for one in changes.take(key) or []} for key in ("set", "add")}
    return without_nothing({**pairs, "remove": changes.take("remove")})


def _mirror(mirror: Fields, backends: list[str]) -> Values:
    backend = mirror.within("backendRef")
    backend.take("port")
    name = str(backend.take("name"))
    if name not in backends:
        backends.append(name)
    fraction = mirror.within("fraction")
    part = fraction.take("numerator")
    share = mirror.take("percent") if part is None else 100 * part / (fraction.take("denominator") or 100)
    return without_nothing({"subset": name, "percentage": share})


def _redirect(redirect: Fields) -> Values:
    path = redirect.within("path")
    uri = path.take("replaceFullPath")
    if uri is not None:
        path.take("type")
    values = {"uri": uri, "authority": redirect.take("hostname"), "scheme": redirect.take("scheme")}
    return {**without_nothing(values), "redirectCode": redirect.take("statusCode", 302)}


def _rewrite(rewrite: Fields) -> Values:
    path = rewrite.within("path")
    path.take("type")
    return without_nothing(
        {
            "authority": rewrite.take("hostname"),
            "whole": path.take("replaceFullPath"),
            "prefix": path.take("replacePrefixMatch"),
        }
    )


def _rules(match: Values, action: Values, rewrite: Values, origin: str, notes: list[str]) -> list[Values]:
    """Return the rules of one match. A prefix of whole segments is two tests: the path, and what is below."""
    prefix = match.get("uri", {}).get("prefix")
    tests = (
        [{**match, "uri": {"exact": prefix}}, {**match, "uri": {"prefix": f"{prefix}/"}}]
        if prefix
        else [match]
    )
    authority = {"authority": rewrite["authority"]} if "authority" in rewrite else {}
    whole, part = rewrite.get("whole"), rewrite.get("prefix")
    if whole is None and part is None:
        own = {"rewrite": authority} if authority else {}
        return [without_nothing({"match": [one for one in tests if one], **action, **own})]
    if (whole is not None and prefix) or (part is not None and not prefix):
        notes.append(
            f"{origin}: a rewrite of the path cannot be carried over for {match.get('uri', 'every path')}"
        )
        return [without_nothing({"match": [one for one in tests if one], **action})]
    if whole is not None:
        return [
            without_nothing(
                {"match": [match] if match else [], **action, "rewrite": {"uri": whole, **authority}}
            )
        ]
    target = str(part).rstrip("/")
    paths = (target or "/", f"{target}/")
    return [
        {"match": [test], **action, "rewrite": {"uri": uri, **authority}}
        for test, uri in zip(tests, paths, strict=True)
    ]


def _named(rules: list[Values]) -> list[Values]:
    """Give rules of the same name numbers."""
    seen: dict[str, int] = {}
    named = []
    for rule in rules:
        count = seen[rule["name"]] = seen.get(rule["name"], 0) + 1
        # Rules of one origin share values; YAML would write these as aliases.
        named.append({**deepcopy(rule), "name": rule["name"] if count == 1 else f"{rule['name']}-{count}"})
    return named
