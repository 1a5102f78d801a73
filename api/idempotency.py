"""Idempotency-Key: a request that is repeated under the same key is answered as the first time, and not carried out again.

Kept for a day per tenant and caller, with a keyed digest of the request and the sealed answer.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func
import orjson

from api.principal import Principal
from api.problems import ProblemError, invalid
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, LostPagesError
from sync_core.ports import Entity, Insert, Remove, Replace, TenantKeys, Write
from sync_core.state.names import ANSWERS

KEPT_FOR = timedelta(hours=24)
BROKEN_OFF = timedelta(minutes=5)
"""A request without an answer for so long has died: it may be carried out again."""

_LONGEST_KEY = 200

Carry = Callable[[], Awaitable[func.HttpResponse]]


async def once(
    context: Context, caller: Principal, operation: str, key: str, request: func.HttpRequest, carry_out: Carry
) -> func.HttpResponse:
    """The answer of the first request under this key; carries it out when this is the first.

    Only answers of success are remembered: what failed has changed nothing and may be tried again. Raises ProblemError 422 for
    another request under the same key, 409 while the first is under way.
    """
    if len(key) > _LONGEST_KEY or not key.isprintable():
        raise invalid([("Idempotency-Key", f"must be at most {_LONGEST_KEY} printable characters")])
    keys = await context.keyring.keys(caller.tenant)
    row = _digest(keys, f"{caller.home}|{caller.object_id}|{operation}|{key}".encode())
    asked = orjson.dumps([sorted(request.route_params.items()), sorted(request.params.items())]) + (request.get_body() or b"")
    fingerprint = _digest(keys, asked)
    known = await context.tables.get(ANSWERS, caller.tenant, row)
    if known is not None and context.now() - _at(known) < KEPT_FOR:
        if known.values["Request"] != fingerprint:
            raise ProblemError(
                422, "idempotency_key_reused", "This Idempotency-Key was sent with another request: take a new one for each"
            )
        if "Answer" in known.values:
            return _replayed(keys, known)
        if context.now() - _at(known) < BROKEN_OFF:
            raise _under_way()
    started: dict[str, Any] = {"Request": fingerprint, "At": context.now()}
    try:
        write: Write = Insert(row, started) if known is None else Replace(row, started, known.etag)
        (etag,) = await context.tables.commit(ANSWERS, caller.tenant, [write])
    except ConflictError:
        raise _under_way() from None
    try:
        response = await carry_out()
    except BaseException:
        await context.tables.commit(ANSWERS, caller.tenant, [Remove(row)])
        raise
    answer = orjson.dumps(
        {
            "status": response.status_code,
            "type": response.mimetype,
            "headers": dict(response.headers),
            "body": b64encode(response.get_body()).decode(),
        }
    )
    sealed = keys.sealer.seal(answer, place=_place(caller.tenant, row))
    await context.tables.commit(ANSWERS, caller.tenant, [Replace(row, {**started, "Answer": sealed}, etag)])
    return response


def _replayed(keys: TenantKeys, known: Entity) -> func.HttpResponse:
    sealed = known.values["Answer"]
    assert isinstance(sealed, bytes)
    try:
        answer = orjson.loads(keys.sealer.open(sealed, place=_place(known.partition, known.row)))
    except LostPagesError:
        raise _under_way() from None
    return func.HttpResponse(
        b64decode(answer["body"]),
        status_code=answer["status"],
        mimetype=answer["type"],
        headers={**answer["headers"], "Idempotency-Replayed": "true"},
    )


def _under_way() -> ProblemError:
    return ProblemError(
        409,
        "request_under_way",
        "The first request under this Idempotency-Key is not answered yet: repeat it in a moment",
        headers={"Retry-After": "2"},
    )


def _digest(keys: TenantKeys, content: bytes) -> str:
    return hmac.new(keys.fingerprint_key, b"request|" + content, "sha256").hexdigest()


def _place(tenant: str, row: str) -> str:
    return f"{ANSWERS}|{tenant}|{row}"


def _at(entity: Entity) -> datetime:
    at = entity.values["At"]
    assert isinstance(at, datetime)
    return at
