"""Istio's traffic policies, whose words are those of the language."""

from xds.rules.imports.manifest import Fields, Values, without_nothing

_EJECTED = 10
"""How many percent of the instances Istio leaves out at most, unless told otherwise."""

_SIMPLE = {
    "LEAST_CONN": "LEAST_REQUEST",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "ROUND_ROBIN": "ROUND_ROBIN",
    "RANDOM": "RANDOM",
}
_TLS = ("sni", "subjectAltNames", "caCertificates", "clientCertificate", "privateKey")


def traffic_policy(policy: Fields) -> Values:
    """Carry a traffic policy over."""
    return without_nothing(
        {
            "tls": _tls(policy.within("tls")),
            "loadBalancer": _load_balancer(policy.within("loadBalancer")),
            "connectionPool": _connection_pool(policy.within("connectionPool")),
            "outlierDetection": _outlier_detection(policy.within("outlierDetection")),
        }
    )


def _tls(tls: Fields) -> Values:
    mode = tls.take("mode")
    if mode not in {"DISABLE", "SIMPLE", "MUTUAL"}:
        if mode is not None:
            tls.put("mode", mode)
        return {}
    return without_nothing({"mode": mode, **{key: tls.take(key) for key in _TLS}})


def _load_balancer(balancer: Fields) -> Values:
    simple = balancer.take("simple")
    if simple is not None and simple not in _SIMPLE:
        balancer.put("simple", simple)
    hashed = balancer.within("consistentHash")
    keys = ("httpHeaderName", "useSourceIp", "httpQueryParameterName")
    consistent = {key: hashed.take(key) for key in keys}
    if "httpCookie" in hashed:
        cookie = hashed.within("httpCookie")
        ttl = cookie.take("ttl")
        if ttl == "0s":  # a cookie for the session: here they live for a time, or are the application's
            cookie.put("ttl", ttl)
        consistent["httpCookie"] = without_nothing(
            {"name": cookie.take("name"), "ttl": None if ttl == "0s" else ttl}
        )
    warmup = balancer.take("warmupDurationSecs") or balancer.within("warmup").take("duration")
    return without_nothing(
        {
            "simple": _SIMPLE.get(str(simple)),
            "consistentHash": without_nothing(consistent),
            "warmup": {"duration": warmup} if warmup else None,
        }
    )


def _connection_pool(pool: Fields) -> Values:
    tcp, http = pool.within("tcp"), pool.within("http")
    tcp_keys = ("maxConnections", "connectTimeout", "idleTimeout", "maxConnectionDuration")
    http_keys = (
        *("http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection", "maxRetries"),
        "maxConcurrentStreams",
    )
    return without_nothing(
        {
            "tcp": without_nothing({key: tcp.take(key) for key in tcp_keys}),
            "http": without_nothing({key: http.take(key) for key in http_keys}),
        }
    )


def _outlier_detection(detection: Fields) -> Values:
    keys = (
        *("consecutive5xxErrors", "consecutiveGatewayErrors", "interval", "baseEjectionTime"),
        *("maxEjectionPercent", "minHealthPercent"),
    )
    found = without_nothing({key: detection.take(key) for key in keys})
    return {**found, "maxEjectionPercent": found.get("maxEjectionPercent", _EJECTED)} if found else {}
