"""An xDS server of runtime layers (RTDS), set and removed by lines on standard input.

edge flags {"new-checkout": true}    sets the layer "flags" for every node of the cluster "edge"
edge flags                           removes it
"""

import asyncio
import json
import sys
from collections.abc import Set

from envoy_data_plane.envoy.service.runtime.v3 import Runtime
from envoy_data_plane.google.protobuf import Struct

from xds.cache import Cache, Ref, Resource
from xds.protocol import Event
from xds.server import StreamInfo, XdsServer
from xds.type_urls import RUNTIME
from xds.wire import encode


class Printer:
    def opened(self, stream: StreamInfo) -> None:
        print("connected", stream.node.id, flush=True)

    def answered(self, stream: StreamInfo, event: Event) -> None:
        print(type(event).__name__, stream.node.id, *event.changes, flush=True)

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        pass  # the client has all of its view, but for what it rejected

    def closed(self, stream: StreamInfo) -> None:
        print("disconnected", stream.node.id, flush=True)


def apply(line: str, cache: Cache) -> None:
    group, name, *layer = line.split(maxsplit=2)
    if layer:
        runtime = Runtime(name=name, layer=Struct.from_dict({**json.loads(layer[0])}))
        cache.apply(group, put=[Resource.of(RUNTIME, name, encode(runtime))])
    else:
        cache.apply(group, drop=[Ref(RUNTIME, name)])


async def main(port: int) -> None:
    cache = Cache()
    server = XdsServer(lambda node, peer: cache.view(node.cluster), Printer())
    print("listening", await server.start("127.0.0.1", port), flush=True)
    server.open()
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async for line in lines:
        try:
            apply(line.decode(), cache)
        except (TypeError, ValueError) as error:
            print("not understood:", error, flush=True)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
