"""The log as a sink: what rule authors and operators must know."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from xds.documents.problem import Severity
from xds.server import LogObserver, few_of
from xds.status import events

_log = structlog.get_logger(__name__)


class LogSink:
    """Writes every event as one line. ``source`` says what the source holds, for that of its recovery."""

    def __init__(self, source: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._source = source
        self._streams = LogObserver()

    def __call__(self, event: events.StatusEvent) -> None:
        """Log an event."""
        match event:
            case events.StreamOpened(stream):
                self._streams.opened(stream)
            case events.StreamClosed(stream):
                self._streams.closed(stream)
            case events.PushAcknowledged(stream, acked):
                self._streams.answered(stream, acked)
            case events.PushRejected(stream, rejected, origins):
                self._streams.rejected(stream, rejected, {str(origin.document) for origin in origins})
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


def _quarantine(event: events.ServiceQuarantined | events.QuarantineLifted) -> None:
    match event:
        case events.ServiceQuarantined(quarantine):
            who = "Envoy refuses it, nobody is sent it" if quarantine.before_push else "a client rejected it"
            _log.error(
                f"quarantined: {who}, the last acknowledged version is served to all",
                service=str(quarantine.service),
                documents=few_of({str(origin.document) for origin in quarantine.origins}),
                revisions=few_of({origin.revision for origin in quarantine.origins}),
                line=quarantine.line,
                node=quarantine.node,
                reason=quarantine.reason,
            )
        case events.QuarantineLifted(service):
            _log.info("quarantine lifted: the service has a new version", service=str(service))
