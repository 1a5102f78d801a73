"""One request from end to end: who asks, may they, is it well-formed, note it, do it, answer it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import azure.functions as func
import orjson
from pydantic import BaseModel, ValidationError

from api import idempotency, rates
from api.audits import append_entry
from api.endpoint import ANYONE, Call, Endpoint, Reply
from api.principal import Principal
from api.problems import ProblemError, invalid, problem_of
from api.signin.authentication import PARTNER_HEADER, require, require_person, sign_in
from composition import context
from sync_core.definition import problems_in
from sync_core.engine.delivery import UnexpectedError
from sync_core.errors import InputError, RollcallError

log = logging.getLogger("rollcall.api")

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
CORRELATION = "x-correlation-id"
MOST_PROBLEMS = 20

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")  # https://www.w3.org/TR/trace-context/


async def serve(endpoint: Endpoint, request: func.HttpRequest) -> func.HttpResponse:
    """Answer a request; never raises. A bug is logged with its place and answered 500."""
    started = time.perf_counter()
    correlation = _correlation(request.headers)
    try:
        response = await _answer(endpoint, request, correlation)
    except ProblemError as error:
        response = _problem(error, correlation)
    except RollcallError as error:
        response = _problem(problem_of(error), correlation)
    except Exception as error:
        log.error("%s failed: %s (correlation %s)", endpoint.name, UnexpectedError(error), correlation)
        detail = "This is our mistake: report the correlation id to whoever runs the app"
        response = _problem(ProblemError(500, "internal_error", detail), correlation)
    milliseconds = round(1000 * (time.perf_counter() - started))
    log.info("%s answered %s in %s ms (correlation %s)", endpoint.name, response.status_code, milliseconds, correlation)
    return response


async def _answer(endpoint: Endpoint, request: func.HttpRequest, correlation: str) -> func.HttpResponse:
    services = context()
    caller = None
    if endpoint.roles != ANYONE:
        caller = await authenticate(request.headers, connected=endpoint.connected)
        _check_role(endpoint, caller)
        rates.check(caller.tenant)
    arguments = _arguments(endpoint, request)
    call = Call(services, caller, correlation, _version(endpoint, request.headers), request)
    key = request.headers.get("Idempotency-Key", "") if endpoint.idempotent else ""
    if not key:
        return await _carry_out(endpoint, call, arguments)

    async def fresh() -> func.HttpResponse:
        return await _carry_out(endpoint, call, arguments)

    return await idempotency.once(services, call.principal, endpoint.name, key, request, fresh)


async def _carry_out(endpoint: Endpoint, call: Call, arguments: dict[str, Any]) -> func.HttpResponse:
    noted = False

    async def audit(*, before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None) -> None:
        nonlocal noted
        noted = True
        await append_entry(call, endpoint.audits, before=before, after=after)

    if endpoint.audits_itself:
        arguments = {**arguments, "audit": audit}
    elif endpoint.audits:
        await audit()
    result = await endpoint.handler(call, **arguments)
    if endpoint.audits and not noted:
        raise AssertionError(f"{endpoint.name} has not written its entry to the audit trail")
    reply = result if isinstance(result, Reply) else Reply(result)
    headers = {**HEADERS, CORRELATION: call.correlation, **reply.headers}
    if reply.etag:
        headers["ETag"] = reply.etag
    if reply.location:
        headers["Location"] = reply.location if "://" in reply.location else f"/api/{reply.location}"
    status = reply.status or endpoint.status
    if reply.body is None:
        return func.HttpResponse(status_code=status, headers=headers)
    body = reply.body if isinstance(reply.body, bytes) else dump(reply.body)
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=endpoint.produces)


def dump(body: object) -> bytes:
    """JSON of a model or of plain values; times in UTC end in Z."""
    return orjson.dumps(body.model_dump() if isinstance(body, BaseModel) else body, option=orjson.OPT_UTC_Z)


def _problem(error: ProblemError, correlation: str) -> func.HttpResponse:
    return func.HttpResponse(
        dump(error.shown(correlation)),
        status_code=error.status,
        mimetype="application/problem+json",
        headers={**HEADERS, CORRELATION: correlation, **error.headers},
    )


def _correlation(headers: Mapping[str, str]) -> str:
    traced = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return traced[1] if traced else token_hex(16)


async def authenticate(headers: Mapping[str, str], *, connected: bool) -> Principal:
    """Who asks, by their access token. Raises SignInError."""
    authorization, customer = headers.get("Authorization", ""), headers.get(PARTNER_HEADER, "")
    return await sign_in().authenticate(authorization, customer=customer, connected=connected)


def _check_role(endpoint: Endpoint, caller: Principal) -> None:
    if isinstance(endpoint.roles, frozenset):
        require(caller, *endpoint.roles)
    else:
        require_person(caller)


def _version(endpoint: Endpoint, headers: Mapping[str, str]) -> str:
    given = headers.get("If-Match", "").strip()
    if endpoint.conditional and not given:
        raise ProblemError(
            428, "if_match_missing", "Send the ETag that you have read in If-Match, so that nobody's change is lost"
        )
    return "" if given == "*" else given.strip('"')


def _arguments(endpoint: Endpoint, request: func.HttpRequest) -> dict[str, Any]:
    """The handler's arguments out of the request. Raises ProblemError that names every wrong field."""
    found: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    if endpoint.path is not None:
        found["path"] = _checked(endpoint.path, dict(request.route_params), errors)
    if endpoint.query is not None:
        found["query"] = _checked(endpoint.query, dict(request.params), errors)
    else:
        errors += [(name, "is no parameter of this operation") for name in request.params]
    if endpoint.body is not None:
        raw = _body(endpoint, request)
        if endpoint.body is bytes:
            found["body"] = raw
        else:
            found["body"] = _checked(endpoint.body, _json(raw), errors)
    if errors:
        raise invalid(errors[:MOST_PROBLEMS])
    return found


def _checked(model: type[BaseModel], value: object, errors: list[tuple[str, str]]) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors += problems_in(error)
        return None


def _body(endpoint: Endpoint, request: func.HttpRequest) -> bytes:
    raw = request.get_body() or b""
    if len(raw) > endpoint.largest:
        raise ProblemError(413, "too_large", f"The body may have {endpoint.largest} bytes: send less at a time")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if raw and kind not in endpoint.accepts:
        raise ProblemError(415, "media_type", f"Send the body as {' or '.join(endpoint.accepts)}, and say so in Content-Type")
    return raw


def _json(raw: bytes) -> object:
    if not raw:
        return {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise problem_of(InputError("body", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")) from None
