"""Devices: what a client says that it is, by ``User-Agent`` and client hints (``Sec-CH-UA-…``).

Everything here can be forged by the client. The words are those of the language (``xds.rules.model.Device``).
"""

from collections.abc import Mapping

from xds.routing.predicates import Exact, Header, Not, Or, Predicate, Regex, Test, conjunction, disjunction


def _agent(pattern: str) -> Predicate:
    return Test(Header("user-agent"), Regex(f".*(?:{pattern}).*", ignore_case=True))


def _hint(name: str, value: str) -> Predicate:
    return Test(Header(f"sec-ch-ua-{name}"), Exact(value, ignore_case=True))


_BOT = _agent("bot|crawl|spider|slurp|facebookexternalhit|headlesschrome|preview")
_IOS = Or((_hint("platform", '"iOS"'), _agent("iphone|ipad|ipod")))
_HARMONYOS = Or((_hint("platform", '"HarmonyOS"'), _agent("harmonyos|openharmony")))
# HarmonyOS before 5 and Windows Phone call themselves Android, too.
_ANDROID = conjunction(
    (Or((_hint("platform", '"Android"'), _agent("android"))), Not(_HARMONYOS), Not(_agent("windows phone")))
)
# Android says Mobile on phones only; so do the client hints.
_TABLET = disjunction(
    (
        _agent("ipad|tablet|kindle|silk/"),
        conjunction((_agent("android"), Not(_agent("mobile")), Not(_hint("mobile", "?1")))),
    )
)
_MOBILE = conjunction((Or((_hint("mobile", "?1"), _agent("mobile|iphone|ipod"))), Not(_TABLET)))
_DESKTOP = conjunction(
    (
        _agent("windows nt|macintosh|x11|cros "),
        Not(_hint("mobile", "?1")),
        Not(_agent("mobile|tablet|android|ipad|iphone|ipod")),
        Not(_BOT),
    )
)

DEVICES: Mapping[str, Predicate] = {
    "ios": _IOS,
    "android": _ANDROID,
    "harmonyos": _HARMONYOS,
    "mobile": _MOBILE,
    "tablet": _TABLET,
    "desktop": _DESKTOP,
    "wechat": _agent("micromessenger"),
    "bot": _BOT,
}
"""What holds for each word."""
