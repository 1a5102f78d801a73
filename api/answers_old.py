"""Answers and errors of the HTTP endpoints: JSON, and problem details for what went wrong (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import wraps

import azure.functions as func
import orjson

from sync_core.engine.delivery import UnexpectedError
from sync_core.errors import ConflictError, InputError, NotFoundError, RollcallError, TransientError

_LARGEST_BODY = 256 * 1024
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")

Endpoint = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer. It is not to be kept by caches: it may hold ids of people."""
    return func.HttpResponse(
        orjson.dumps(body),
        status_code=status,
        mimetype="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )


def problem(status: int, code: str, title: str, *, field: str = "", detail: str = "") -> func.HttpResponse:
    """An error in the caller's words. `code` is stable; `field` names what was wrong."""
    body = {"type": "about:blank", "title": title, "status": status, "code": code}
    body |= {name: value for name, value in (("field", field), ("detail", detail)) if value}
    return func.HttpResponse(
        orjson.dumps(body),
        status_code=status,
        mimetype="application/problem+json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def explained(endpoint: Endpoint) -> Endpoint:
    """Turn the errors an endpoint may raise into problem details."""

    @wraps(endpoint)
    async def explaining(req: func.HttpRequest) -> func.HttpResponse:
        try:
            for name, value in req.route_params.items():
                if not _ID.fullmatch(value):
                    raise InputError(name, "must be an id of letters, digits, - and _")
            return await endpoint(req)
        except InputError as error:
            return problem(400, "invalid_input", "The request is not valid", field=error.field, detail=error.problem)
        except NotFoundError as error:
            return problem(404, "not_found", "There is no such thing", detail=str(error))
        except ConflictError:
            return problem(409, "conflict", "Somebody else changed this at the same time", detail="Read it again and repeat")
        except TransientError:
            return problem(503, "try_again", "Storage or Microsoft 365 did not answer", detail="Try again in a minute")
        except RollcallError:
            raise
        except Exception as error:
            raise UnexpectedError(error) from None

    return explaining


def json_body(req: func.HttpRequest) -> object:
    """The request's JSON; an empty body is an empty object. Raises InputError."""
    raw = req.get_body()
    if len(raw) > _LARGEST_BODY:
        raise InputError("body", f"must not be larger than {_LARGEST_BODY} bytes")
    if not raw:
        return {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InputError("body", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
