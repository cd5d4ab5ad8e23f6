"""Decisions in the application: OpenFeature's Remote Evaluation Protocol, OFREP 0.3, below ``/ofrep/v1``.

Two flags for each service that has a rule document:

- ``reviews``, a text: the subset that the rules choose for the request that the context describes;
- ``reviews/ramp``, a boolean: whether the rule ``ramp`` decides, and for another subset than the baseline.

The context describes a request: ``headers``, ``cookies`` and ``query`` (objects of texts, or keys with a dot
such as ``headers.x-user-id``), ``uri``, ``method``, ``sourceIp``, ``userAgent``, ``region``. The
``targetingKey`` stands in for whatever identifies users in the rules and is not in the context. The answer is
the one that a proxy gives the same request; where chance decides it decides here, too.
"""

from xds.http.ofrep.context import Context, InvalidContextError, read_context
from xds.http.ofrep.flags import Flags, FlagSource, flag_source
from xds.http.ofrep.routes import ofrep_routes

__all__ = [
    "Context",
    "FlagSource",
    "Flags",
    "InvalidContextError",
    "flag_source",
    "ofrep_routes",
    "read_context",
]
