"""A proxyless gRPC client in Python: a line on standard input is a call, a line on standard output its end.

The lines are those of ``tests/clients/client.py``. Run it with
``python -m tests.clients.python_client TARGET``.
"""

import asyncio
import json
import sys
from typing import Any

import grpc
import grpc.aio


async def _call(channel: grpc.aio.Channel, asked: dict[str, Any]) -> None:
    ended = {"id": asked["id"], "code": 0, "message": "", "body": ""}
    invoke: Any = channel.unary_unary(asked["method"])
    metadata = [(name, value) for name, value in asked["metadata"]]
    try:
        ended["body"] = (await invoke(b"", timeout=asked["timeout"], metadata=metadata)).decode()
    except grpc.aio.AioRpcError as error:
        ended |= {"code": error.code().value[0], "message": error.details()}
    sys.stdout.write(json.dumps(ended) + "\n")
    sys.stdout.flush()


async def _main(target: str) -> None:
    lines = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with grpc.aio.insecure_channel(target) as channel, asyncio.TaskGroup() as calls:
        async for line in lines:
            calls.create_task(_call(channel, json.loads(line)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
