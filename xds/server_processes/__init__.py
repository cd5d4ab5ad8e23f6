"""Streams served by several processes beside the one that compiles (``xds.processes``).

The compiling process has the views; each *server process* has a replica of those that its clients see, and
does all that costs time for each stream. They share the xDS port (``SO_REUSEPORT``): the system gives each
connection to one of them.

A server process asks the compiling process for the view of a node, is sent what changes in the views that it
has, as resources that are encoded already, and says what its clients answer (``messages``). To what observes
streams, they are as if all were served in one process.

``pool`` is the compiling process's side, with ``process`` for each process, ``shared_view`` for each view,
``admission`` for limits that hold for all together, and ``gathered_status`` for questions that concern the
clients of all; ``replica`` is the other side.
"""

from xds.server_processes.admission import Admission
from xds.server_processes.channel import Channel
from xds.server_processes.messages import Failed, Listening, Start, decode_down, encode
from xds.server_processes.pool import Reported, ServerProcesses
from xds.server_processes.process import ProcessState
from xds.server_processes.replica import RemoteObserver, RemoteStatus, RemoteViews

__all__ = [
    "Admission",
    "Channel",
    "Failed",
    "Listening",
    "ProcessState",
    "RemoteObserver",
    "RemoteStatus",
    "RemoteViews",
    "Reported",
    "ServerProcesses",
    "Start",
    "decode_down",
    "encode",
]
