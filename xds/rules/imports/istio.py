"""Istio's VirtualService and DestinationRule as rule documents."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from xds.rules.imports.istio_policies import traffic_policy
from xds.rules.imports.manifest import Fields, Imported, Values, baseline_of, without_nothing
from xds.rules.scalars import RETRY_CONDITIONS

_KINDS = {"VirtualService", "DestinationRule"}


class _Spec(NamedTuple):
    """The ``spec`` of a manifest; ``origin`` is its kind and name."""

    origin: str
    fields: Fields

    def left(self) -> list[str]:
        """Return a note for each field that was not taken."""
        return [
            f"{self.origin}: spec.{path.removeprefix('spec.')} cannot be carried over"
            for path in self.fields.left()
        ]


def import_istio(manifests: Iterable[Mapping[str, object]], gateway: str = "edge") -> Imported:
    """Return a rule document for each service that VirtualServices and DestinationRules are about.

    ``gateway`` is the proxy group that serves the hosts of VirtualServices with an Istio gateway.
    """
    imported = Imported()
    routes: dict[str, list[_Spec]] = {}
    policies: dict[str, _Spec] = {}
    for manifest in manifests:
        root = Fields(manifest, "")
        kind, name = str(root.take("kind")), str(root.within("metadata").take("name"))
        for unused in ("apiVersion", "status"):
            root.take(unused)
        if kind not in _KINDS:
            imported.notes.append(f"{kind} {name}: only {' and '.join(sorted(_KINDS))} are imported")
            continue
        spec = _Spec(f"{kind} {name}", root.within("spec"))
        if kind == "DestinationRule":
            policies[_service_of(spec.fields.take("host"))] = spec
        elif service := _service_of_routes(spec, imported):
            routes.setdefault(service, []).append(spec)
    for service in sorted({*routes, *policies}):
        imported.documents[f"{service}.yaml"] = _document(
            service, routes.get(service, []), policies.get(service), gateway, imported
        )
    return imported


def _service_of(host: object) -> str:
    """Return the name of the service of a host: ``reviews.default.svc.cluster.local`` is reviews."""
    text = str(host or "")
    return text.split(".", maxsplit=1)[0] if ".svc" in text else text


def _service_of_routes(spec: _Spec, imported: Imported) -> str | None:
    """Return the one service that a VirtualService sends requests to.

    Return None, and leave a note, if there are several.
    """
    raw = spec.fields.take("http") or []
    hosts = {
        _service_of(one.get("destination", {}).get("host")) for http in raw for one in http.get("route") or []
    }
    spec.fields.put("http", raw)
    if len(hosts) == 1:
        return hosts.pop()
    said = ", ".join(sorted(hosts)) or "none"
    imported.notes.append(
        f"{spec.origin}: left out: a document is about one service, it sends requests to {said}"
    )
    return None


def _document(
    service: str, routes: list[_Spec], policy: _Spec | None, gateway: str, imported: Imported
) -> Values:
    notes = imported.notes
    document: Values = {"service": service}
    rules: list[Values] = []
    for spec in routes:
        document |= _hosts(service, spec, gateway, document.get("hosts", []), notes)
        numbered = enumerate(spec.fields.each("http"), 1)
        found = (_rule(http, number, spec.origin, notes) for number, http in numbered)
        rules += [rule for rule in found if rule]
        notes += spec.left()
    subsets: Values = {}
    if policy:
        document["trafficPolicy"] = traffic_policy(policy.fields.within("trafficPolicy"))
        subsets = _subsets(policy)
        notes += policy.left()
    if not subsets:
        notes.append(f"{service}: no subsets: all requests go to all instances, rules are left out")
        rules = [rule for rule in rules if "route" not in rule]
    document["subsets"] = subsets
    if subsets:
        document["baseline"] = baseline_of(service, rules, subsets, notes)
    document["http"] = rules
    return without_nothing(document)


def _hosts(service: str, spec: _Spec, gateway: str, known: list[str], notes: list[str]) -> Values:
    """Return the hosts that a VirtualService adds, and who serves them."""
    hosts = [host for host in spec.fields.take("hosts") or [] if _service_of(host) != service]
    gateways = [name for name in spec.fields.take("gateways") or [] if name != "mesh"]
    if gateways and hosts:
        notes.append(f"{spec.origin}: {', '.join(gateways)} is the proxy group {gateway} here")
        return {"hosts": [*known, *hosts], "gateways": [gateway]}
    if hosts:
        notes.append(f"{spec.origin}: hosts {', '.join(hosts)} of the mesh cannot be carried over")
    return {}


def _subsets(policy: _Spec) -> Values:
    """Return the subsets of a DestinationRule, by name."""
    subsets: Values = {}
    for one in policy.fields.each("subsets"):
        own = traffic_policy(one.within("trafficPolicy"))
        subsets[str(one.take("name"))] = without_nothing({"labels": one.take("labels"), "trafficPolicy": own})
    return subsets


def _rule(http: Fields, number: int, origin: str, notes: list[str]) -> Values | None:
    name = str(http.take("name") or f"rule-{number}")
    had_match = "match" in http
    alternatives = [one for match in http.each("match") if (one := _match(match, origin, notes)) is not None]
    if had_match and not alternatives:
        notes.append(f"{origin}: {name} is left out: none of its matches can be carried over")
        return None
    if any(not one for one in alternatives):
        alternatives = []  # one of them is every request
    rule: Values = {"name": name, "match": alternatives, "route": _route(http, origin, notes)}
    rule |= {"redirect": _redirect(http), "directResponse": _direct_response(http)}
    rule |= {
        "timeout": _duration(http.take("timeout")),
        "retries": _retries(http.within("retries"), origin, notes),
    }
    rule |= {"mirror": _mirror(http), "fault": _fault(http.within("fault")), "headers": _headers(http)}
    rule["rewrite"] = _rewrite(http, alternatives, origin, notes)
    rule = without_nothing(rule)
    if rule.keys().isdisjoint({"route", "redirect", "directResponse"}):
        notes.append(f"{origin}: {name} is left out: it sends requests nowhere that can be carried over")
        return None
    return rule


def _match(match: Fields, origin: str, notes: list[str]) -> Values | None:
    """Carry an alternative over; None if it asks for something that cannot be: it would match too much."""
    match.take("name")
    ignore_case = match.take("ignoreUriCase") is True
    uri = _test(match.within("uri"))
    values: Values = {"uri": {**uri, "ignoreCase": True} if uri and ignore_case else uri}
    values["method"] = _test(match.within("method"))
    values["headers"] = {name: _test(one) or {"present": True} for name, one in match.items("headers")}
    for name, one in match.items("withoutHeaders"):
        test = _test(one)
        values["headers"][name] = {**test, "not": True} if test else {"present": False}
    values["query"] = {name: _test(one) or {"present": True} for name, one in match.items("queryParams")}
    if uri == {"prefix": "/"}:
        values["uri"] = {}
    if left := list(match.left()):
        notes.append(f"{origin}: {match.path} is left out: {', '.join(left)} cannot be carried over")
        match.forget()
        return None
    return without_nothing(values)


def _test(test: Fields) -> Values:
    for operator in ("exact", "prefix", "regex"):
        if operator in test:
            value = str(test.take(operator))
            if value:
                return {operator: value}
            return {"regex": "^$"} if operator == "exact" else {"present": True}
    return {}


def _route(http: Fields, origin: str, notes: list[str]) -> list[Values]:
    route = []
    for one in http.each("route"):
        destination = one.within("destination")
        destination.take("host")
        subset = destination.take("subset")
        if subset is None:
            notes.append(f"{origin}: {one.path} names no subset, and cannot be carried over")
            return []
        route.append(without_nothing({"subset": subset, "weight": one.take("weight")}))
    if len(route) == 1:
        route[0].pop("weight", None)
    else:
        route = [{"weight": 0, **one} for one in route]
    return [{"subset": one.pop("subset"), **one} for one in route]


def _redirect(http: Fields) -> Values:
    redirect = http.within("redirect")
    keys = ("uri", "authority", "scheme", "redirectCode")
    return without_nothing({key: redirect.take(key) for key in keys})


def _direct_response(http: Fields) -> Values:
    response = http.within("directResponse")
    return without_nothing(
        {"status": response.take("status"), "body": response.within("body").take("string")}
    )


def _duration(text: object) -> object:
    return None if text in {None, "0s", "0"} else text


def _retries(retries: Fields, origin: str, notes: list[str]) -> Values:
    said = str(retries.take("retryOn") or "").replace(" ", "").split(",")
    known = [one for one in said if one in RETRY_CONDITIONS or (len(one) == 3 and one.isdecimal())]
    if unknown := [one for one in said if one and one not in known]:
        notes.append(f"{origin}: {retries.path}.retryOn {', '.join(unknown)} cannot be carried over")
    values = {"attempts": retries.take("attempts"), "perTryTimeout": _duration(retries.take("perTryTimeout"))}
    return without_nothing({**values, "retryOn": known}) if values["attempts"] is not None else {}


def _mirror(http: Fields) -> Values:
    mirror = http.within("mirror")
    mirror.take("host")
    share = http.within("mirrorPercentage").take("value")
    subset = mirror.take("subset")
    return without_nothing({"subset": subset, "percentage": share}) if subset and share != 0 else {}


def _fault(fault: Fields) -> Values:
    found: Values = {}
    for kind, keys in (("delay", ("fixedDelay",)), ("abort", ("httpStatus", "grpcStatus"))):
        if kind in fault:
            one = fault.within(kind)
            share = one.within("percentage").take("value")
            values = {key: one.take(key) for key in keys}
            if share != 0:
                found[kind] = without_nothing({**values, "percentage": share})
    return found


def _headers(http: Fields) -> Values:
    headers = http.within("headers")
    found: Values = {}
    for side in ("request", "response"):
        changes = headers.within(side)
        found[side] = without_nothing({key: changes.take(key) for key in ("set", "add", "remove")})
    return without_nothing(found)


def _rewrite(http: Fields, alternatives: list[Values], origin: str, notes: list[str]) -> Values:
    rewrite = http.within("rewrite")
    regex = rewrite.within("uriRegexRewrite")
    pair = without_nothing({"match": regex.take("match"), "rewrite": regex.take("rewrite")})
    uri = rewrite.take("uri")
    plain = alternatives and all({"exact", "prefix"} & one.get("uri", {}).keys() for one in alternatives)
    if uri is not None and not plain:
        notes.append(
            f"{origin}: {rewrite.path}.uri cannot be carried over: not every match has a path to replace"
        )
        uri = None
    return without_nothing({"uri": uri, "uriRegex": pair, "authority": rewrite.take("authority")})
