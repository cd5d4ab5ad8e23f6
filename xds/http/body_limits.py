"""Bounds on what the bodies of requests may hold of memory, one by one and together."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xds.http.connections import ConnectionLimits
from xds.http.problem import problem_response


class BodyLimits:
    """ASGI middleware that ends requests with too large a body, whether they say its length or not."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits) -> None:
        self._app = app
        self._limits = limits
        # Bytes of all requests that are under way. Written by ``__call__``.
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limits.body_bytes:
            await problem_response(413, self._too_large)(scope, receive, send)
            return
        held = 0

        async def receiving() -> Message:
            nonlocal held
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                held += size
                self._held += size
                if held > self._limits.body_bytes:
                    raise HTTPException(413, self._too_large)
                if self._held > self._limits.bodies_bytes:
                    raise HTTPException(503, "too many large requests are under way", {"retry-after": "1"})
            return message

        try:
            await self._app(scope, receiving, send)
        finally:
            self._held -= held

    @property
    def _too_large(self) -> str:
        return f"a body has at most {self._limits.body_bytes} bytes"
