"""What the compiling process (above) and a server process (below) say to each other.

Numbers of streams are those of one server process. Numbers of views are the compiling process's.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from xds.cache import Ref, Resource
from xds.documents import Origin
from xds.documents.identity import decode_origin
from xds.protocol import Acked, Change, Event, Rejected
from xds.server import ClusterLoad, LoggedRequest, Peer
from xds.wire import Node, Status

_KEPT_VERSIONS = 1 << 14


class _Message(msgspec.Struct, array_like=True, tag=True, gc=False):
    pass


# Down: to a server process


class Start(_Message):
    """The first message: listen. ``settings`` are pickled; they never leave these processes.

    ``number`` is for the log. ``code`` is the digest of the program that the compiling process runs.
    """

    number: int
    code: bytes
    settings: bytes
    port: int


class Open(_Message):
    """Begin to answer clients."""


class Put(_Message):
    """What changed in a view, whose generation it has then."""

    view: int
    generation: int
    put: tuple[Resource, ...]
    drop: tuple[Ref, ...]


class ViewOf(_Message):
    """The answer to ``Ask``; all of the view was sent before."""

    ask: int
    view: int


class NoView(_Message):
    """The answer to ``Ask`` of a node that may have no further stream; ``status`` is a name of gRPC's."""

    ask: int
    status: str
    reason: str


class Forget(_Message):
    """A view will not be kept up to date any more."""

    view: int


class Wanted(_Message):
    """Of which clusters proxies are to report load, by namespace."""

    clusters: dict[str, tuple[str, ...]]


class TellStatus(_Message):
    """What is the status of its clients (CSDS)? ``request`` is a ``ClientStatusRequest``."""

    ask: int
    request: bytes


class OtherStatusIs(_Message):
    """The answer to ``AskStatus``; None: too large."""

    ask: int
    response: bytes | None


class Stop(_Message):
    """End all streams in good order, within so many seconds, and then the process."""

    grace: float


# Up: from a server process


class Listening(_Message):
    """It listens."""


class Failed(_Message):
    """It cannot start; ``tls`` says whether the TLS files are why."""

    reason: str
    tls: bool


class Ask(_Message):
    """Which view does a node see?"""

    ask: int
    node: Node
    peer: Peer


class Settled(_Message):
    """Whoever asked has opened a stream (``Opened`` came before), or is gone."""

    ask: int


class Unused(_Message):
    """No stream sees a view any more, of those that it was given to by so many answers."""

    view: int
    answers: int


class AskStatus(_Message):
    """What is the status of the clients of all other processes? ``request`` is a ``ClientStatusRequest``."""

    ask: int
    request: bytes


class StatusIs(_Message):
    """The answer to ``TellStatus``; None: too large."""

    ask: int
    response: bytes | None


class Opened(_Message):
    """``Observer.opened``."""

    stream: int
    node: Node
    peer: Peer
    method: str


class Closed(_Message):
    """``Observer.closed``."""

    stream: int


class SentVersion(NamedTuple):
    """Of a resource in an answer: what observers need."""

    version: str
    origins: tuple[Origin, ...]


class Answered(_Message):
    """``Observer.answered``; ``error`` is None for an ACK. Changes are held and sent, as in ``Change``."""

    stream: int
    type_url: str
    changes: dict[str, tuple[SentVersion | None, SentVersion | None]]
    error: Status | None


class InStep(_Message):
    """``Observer.in_step``."""

    stream: int
    generation: int
    rejected: tuple[Ref, ...]


class Loads(_Message):
    """A load report."""

    node: Node
    loads: tuple[ClusterLoad, ...]


class Requests(_Message):
    """A batch of an access log."""

    node: Node
    requests: tuple[LoggedRequest, ...]


class Pushed(_Message):
    """So many more responses were sent."""

    responses: int


class Denied(_Message):
    """A client was denied what it claimed."""


class Vitals(_Message):
    """How the process is: bytes of memory, seconds of CPU time so far, and how late its event loop was.

    Sent once a second: who says nothing is stuck.
    """

    memory: int
    cpu: float
    loop_delays: tuple[float, ...]


Down = Start | Open | Put | ViewOf | NoView | Forget | Wanted | TellStatus | OtherStatusIs | Stop
Up = (
    Listening
    | Failed
    | Ask
    | AskStatus
    | StatusIs
    | Settled
    | Unused
    | Opened
    | Closed
    | Answered
    | InStep
    | Loads
    | Requests
    | Pushed
    | Denied
    | Vitals
)


def _decode_other(type_: type, content: Any) -> Any:
    """Read what msgspec is not told the type of: the metadata of a node is anything, an origin is not."""
    return content if type_ is object else decode_origin(type_, content)


encode = msgspec.msgpack.Encoder().encode
decode_down = msgspec.msgpack.Decoder(Down, dec_hook=_decode_other).decode
decode_up = msgspec.msgpack.Decoder(Up, dec_hook=_decode_other).decode


def answered(stream: int, event: Event) -> Answered:
    """Write what a client answered."""
    changes = {name: (_sent(held), _sent(sent)) for name, (held, sent) in event.changes.items()}
    return Answered(stream, event.type_url, changes, event.reason if isinstance(event, Rejected) else None)


def event_of(message: Answered) -> Event:
    """Read what a client answered. The resources in it have names, versions and origins alone."""
    changes = {
        name: Change(_resource(message.type_url, name, held), _resource(message.type_url, name, sent))
        for name, (held, sent) in message.changes.items()
    }
    if message.error is None:
        return Acked(message.type_url, changes)
    return Rejected(message.type_url, changes, message.error)


@lru_cache(_KEPT_VERSIONS)  # thousands of streams answer the same versions
def _sent(resource: Resource | None) -> SentVersion | None:
    if resource is None:
        return None
    origins: tuple[Any, ...] = resource.origins
    return SentVersion(resource.version, origins)


@lru_cache(_KEPT_VERSIONS)  # what is made of a pair of versions is remembered by the identity of both
def _resource(type_url: str, name: str, sent: SentVersion | None) -> Resource | None:
    if sent is None:
        return None
    return Resource(type_url, name, b"", sent.version, origins=sent.origins)
