"""Errors of the HTTP API, as problem details (RFC 9457, ``application/problem+json``)."""

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

PROBLEM_TYPE = "application/problem+json"

_PHRASES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    422: "Invalid",
    429: "Too many requests",
    500: "Failed",
    501: "Not available here",
    503: "Not available now",
}


class ProblemError(Exception):
    """A request that cannot be answered as asked; ``detail`` says to its sender what would be right."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members


def problem_response(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> JSONResponse:
    """Return an answer that says what is wrong. ``members`` are fields beside those of the RFC."""
    body = {"type": "about:blank", "title": _PHRASES.get(status, "Error"), "status": status, "detail": detail}
    return JSONResponse({**body, **members}, status, headers=headers, media_type=PROBLEM_TYPE)


async def on_problem(_: Request, error: Exception) -> JSONResponse:
    """Answer a ``ProblemError``."""
    assert isinstance(error, ProblemError)
    return problem_response(error.status, error.detail, headers=error.headers, **error.members)


async def on_failure(_: Request, __: Exception) -> JSONResponse:
    """Answer what should not have happened. What did is for the log alone."""
    return problem_response(500, "this is a defect of Grayplane; its log says more")


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    return problem_response(error.status_code, detail, headers=error.headers)


async def on_invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer a request whose parameters or body do not fit, with every place that does not."""
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in each["loc"]), "problem": each["msg"]}
        for each in error.errors()
    ]
    detail = "; ".join(f"{each['field']}: {each['problem']}" for each in errors)
    return problem_response(422, detail, errors=errors)
