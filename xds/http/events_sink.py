"""What the status tells, as events of the API."""

from xds.http.events import Events, Topic
from xds.status import StatusEvent, events


class EventsSink:
    """Tells the event streams which topics something changed in (``xds.status.Sink``)."""

    def __init__(self, streams: Events) -> None:
        self._streams = streams

    def __call__(self, event: StatusEvent) -> None:
        """Tell of an event."""
        match event:
            case events.StreamOpened(stream) | events.StreamClosed(stream):
                self._streams.tell(Topic.PROXIES, stream.node.id)
            case events.PushAcknowledged(stream) | events.PushRejected(stream):
                self._streams.tell(Topic.PROXIES, stream.node.id)
            case events.ServingSnapshot() | events.InStepWithSource() | events.SourceTrouble():
                self._streams.tell(Topic.SOURCES)
            case _:
                pass
