"""How a stream ends when the client does not end it."""

import grpc

_MAX_DETAILS = 1_000  # they travel in trailers, of which clients take 8 KiB, and quote what clients sent


class StreamError(Exception):
    """The server ends a stream with this gRPC status; ``details`` are for the author of the client."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        if len(details) > _MAX_DETAILS:
            details = f"{details[:_MAX_DETAILS]}…"
        super().__init__(details)
        self.code = code
        self.details = details


def invalid(details: str) -> StreamError:
    """Return the error of a request that is wrong, whatever the state of the server."""
    return StreamError(grpc.StatusCode.INVALID_ARGUMENT, details)


def exhausted(details: str) -> StreamError:
    """Return the error of a client that went over a limit of the server."""
    return StreamError(grpc.StatusCode.RESOURCE_EXHAUSTED, details)
