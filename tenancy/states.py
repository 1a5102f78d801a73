"""The `state` of a consent: who started it, signed, good once and for a short while.

What comes back from Microsoft through the admin's browser is nobody's word but the browser's. The state is what ties it to the
admin who started (https://datatracker.ietf.org/doc/html/rfc6749#section-10.12).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import orjson

from sync_core.errors import ConflictError
from sync_core.ports import Insert, Remove, Replace
from sync_core.state.names import TENANTS
from tenancy.refusals import ConnectionRefusedError
from tenancy.services import Tenancy

STATE_KEY = "rollcall-state-key"
"""The secret that signs states."""

LIFE = timedelta(minutes=10)

_ROWS = ("consent:", "consent;")
_PURPOSE = b"rollcall consent state|"


async def issue(tenancy: Tenancy, tenant: str, object_id: str) -> str:
    """A new state for this admin. Raises NotFoundError without the secret."""
    [key, *_] = await tenancy.secrets.versions(STATE_KEY)
    tables, now = tenancy.core.tables, tenancy.core.now()
    until = now + LIFE
    async for row in tables.query(TENANTS, tenant, start=_ROWS[0], end=_ROWS[1]):
        ended = row.values.get("Until")
        if isinstance(ended, datetime) and ended <= now:
            await tables.commit(TENANTS, tenant, [Remove(row.row)])
    nonce = token_hex(16)
    await tables.commit(TENANTS, tenant, [Insert(_ROWS[0] + nonce, {"Until": until, "Used": False})])
    body = _encoded(orjson.dumps({"n": nonce, "t": tenant, "o": object_id, "u": int(until.timestamp())}))
    return f"{body}.{_signature(key, body)}"


async def redeem(tenancy: Tenancy, state: str, tenant: str, object_id: str) -> str:
    """Use a state up, which only the admin can who got it. Returns its name, for `restore`. Raises ConnectionRefusedError."""
    body, _, signature = state.partition(".")
    keys = await tenancy.secrets.versions(STATE_KEY)
    if not state.isascii() or not any(hmac.compare_digest(_signature(key, body), signature) for key in keys):
        raise ConnectionRefusedError("state_invalid")
    content = orjson.loads(_decoded(body))
    if (content["t"], content["o"]) != (tenant, object_id):
        raise ConnectionRefusedError("state_invalid")
    if datetime.fromtimestamp(content["u"], UTC) <= tenancy.core.now():
        raise ConnectionRefusedError("state_expired")
    nonce = str(content["n"])
    await _mark(tenancy, tenant, nonce, used=True)
    return nonce


async def restore(tenancy: Tenancy, tenant: str, nonce: str) -> None:
    """Make a state good again, because it was not the admin's fault that it led nowhere."""
    await _mark(tenancy, tenant, nonce, used=False)


async def _mark(tenancy: Tenancy, tenant: str, nonce: str, *, used: bool) -> None:
    row = _ROWS[0] + nonce
    stored = await tenancy.core.tables.get(TENANTS, tenant, row)
    if stored is None or stored.values["Used"] is used:
        raise ConnectionRefusedError("state_used")
    try:
        await tenancy.core.tables.commit(TENANTS, tenant, [Replace(row, {**stored.values, "Used": used}, stored.etag)])
    except ConflictError:
        raise ConnectionRefusedError("state_used") from None


def _signature(key: bytes, body: str) -> str:
    return _encoded(hmac.new(key, _PURPOSE + body.encode(), hashlib.sha256).digest())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ConnectionRefusedError("state_invalid") from None
