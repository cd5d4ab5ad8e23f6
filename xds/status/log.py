"""The log as a sink: what rule authors and operators must know."""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from xds.documents.problem import Severity
from xds.server import StreamInfo
from xds.status import events
from xds.type_urls import short

_log = structlog.get_logger(__name__)

_MANY = 20


class LogSink:
    """Writes every event as one line. ``source`` says what the source holds, for that of its recovery."""

    def __init__(self, source: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._source = source

    def __call__(self, event: events.StatusEvent) -> None:
        """Log an event."""
        match event:
            case events.StreamOpened(stream):
                _log.info("client connected", **_who(stream), version=stream.node.user_agent_version)
            case events.StreamClosed(stream):
                _log.info("client disconnected", **_who(stream))
            case events.PushAcknowledged(stream, acked):
                if _log.is_enabled_for(logging.DEBUG):  # one for every stream and push
                    _log.debug(
                        "acknowledged", **_who(stream), type=short(acked.type_url), count=len(acked.changes)
                    )
            case events.PushRejected():
                _push_rejected(event)
            case events.ServiceQuarantined() | events.QuarantineLifted():
                _quarantine(event)
            case events.ServingSnapshot() | events.InStepWithSource() | events.SourceTrouble():
                _source(event, self._source())
            case _:
                _document(event)


def _document(event: events.StatusEvent) -> None:
    match event:
        case events.ProblemFound(document, problem):
            tell = _log.error if problem.severity is Severity.ERROR else _log.warning
            tell(
                "rule problem",
                document=str(document),
                line=problem.line,
                column=problem.column,
                field=problem.path,
                problem=problem.message,
                hint=problem.hint,
            )
        case events.DocumentApplied(document, revision, services):
            _log.info(
                "rule document applied",
                document=str(document),
                services=[str(service) for service in services],
                revision=revision,
            )
        case events.DocumentRejected(document, waits):
            said = "waits for another" if waits else "rejected"
            _log.error(f"rule document {said}: the last good version stays in force", document=str(document))
        case events.DocumentDeleted(document, services):
            services_said = [str(service) for service in services]
            _log.info("rule document deleted", document=str(document), services=services_said)
        case events.ServiceHidden(service):
            _log.warning(
                "service left out: its name is no domain, or another service has it",
                service=str(service),
                hint="call it otherwise: `aliases` in its rule document, or the setting mesh_names",
            )


def _source(
    event: events.ServingSnapshot | events.InStepWithSource | events.SourceTrouble, source: Mapping[str, Any]
) -> None:
    match event:
        case events.ServingSnapshot(services):
            _log.warning("the source has not answered yet: serving the last known good", services=services)
        case events.InStepWithSource(documents, rejected, services):
            counts = {"documents": documents, "rejected": rejected, "services": services}
            _log.info("in step with the source", **{**source, **counts})
        case events.SourceTrouble(None):
            _log.info("source is well again", **source)
        case events.SourceTrouble(reason, is_news=is_news):
            tell = _log.warning if is_news else _log.debug
            tell("source in trouble: what it last said stays in force", reason=reason)


def _push_rejected(event: events.PushRejected) -> None:
    _log.error(
        "client rejected a push and keeps what it had",
        **_who(event.stream),
        type=short(event.event.type_url),
        resources=_some(event.event.changes),
        concerns=_some({str(origin.document) for origin in event.origins}),
        reason=event.event.reason.message,
    )


def _quarantine(event: events.ServiceQuarantined | events.QuarantineLifted) -> None:
    match event:
        case events.ServiceQuarantined(quarantine):
            who = "Envoy refuses it, nobody is sent it" if quarantine.before_push else "a client rejected it"
            _log.error(
                f"quarantined: {who}, the last acknowledged version is served to all",
                service=str(quarantine.service),
                documents=_some({str(origin.document) for origin in quarantine.origins}),
                revisions=_some({origin.revision for origin in quarantine.origins}),
                line=quarantine.line,
                node=quarantine.node,
                reason=quarantine.reason,
            )
        case events.QuarantineLifted(service):
            _log.info("quarantine lifted: the service has a new version", service=str(service))


def _who(stream: StreamInfo) -> dict[str, object]:
    return {"node": stream.node.id, "group": stream.node.cluster, "peer": stream.peer.address}


def _some(names: Collection[str]) -> list[str]:
    """Shorten a list to what a person reads: a client may reject 10,000 resources at once."""
    some = sorted(names)[:_MANY]
    return some if len(some) == len(names) else [*some, f"and {len(names) - len(some)} more"]
