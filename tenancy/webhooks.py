"""A tenant's webhook: where it is, what it hears of, and the key by which it knows that it was us."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError, NotFoundError
from sync_core.notices import Kind
from sync_core.ports import Entity, Insert, Put, Remove, Replace, Row, Scalar
from sync_core.state.names import TENANTS

BOTH_SIGN = timedelta(days=1)
"""How long after a rotation the key before it still signs as well."""

_ROW = "webhook"
_STATE_ROW = "webhook-state"
_KEY_BYTES = 32
_LONGEST_URL = 2000
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where a tenant's webhook is and what it hears of. `keys` sign, the newest first; they are shown to nobody again."""

    url: str
    kinds: frozenset[Kind]
    keys: tuple[bytes, ...]
    etag: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it goes. `problem` is why something last did not arrive: a status or a word. `given_up` counts what never arrived."""

    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    problem: str = ""
    given_up: int = 0


async def load(context: Context, tenant: str) -> WebhookSettings | None:
    """The tenant's webhook, or None."""
    stored = await context.tables.get(TENANTS, tenant, _ROW)
    if stored is None:
        return None
    values = stored.values
    opened = {name: await _opened(context, tenant, stored, name) for name in ("Url", "Key", "PreviousKey") if name in values}
    until = values.get("PreviousUntil")
    keys = [opened["Key"]]
    if "PreviousKey" in opened and isinstance(until, datetime) and context.now() < until:
        keys.append(opened["PreviousKey"])
    return WebhookSettings(opened["Url"].decode(), _kinds(stored), tuple(keys), stored.etag)


async def kinds_of(context: Context, tenant: str) -> frozenset[Kind]:
    """What the tenant wants to hear of. Takes no key, so that nothing wrong with keys holds up what is being told."""
    stored = await context.tables.get(TENANTS, tenant, _ROW)
    return _kinds(stored) if stored is not None else frozenset()


async def set_up(context: Context, tenant: str, url: str, kinds: Iterable[Kind]) -> str:
    """Set the webhook, or another address for it. Returns the new key in base64, or "" when there was one, which stays.

    Raises InputError for an address that cannot be one, ConflictError when somebody else changed it at the same time.
    """
    check_url(url)
    stored = await context.tables.get(TENANTS, tenant, _ROW)
    values: dict[str, Scalar | None] = {
        "Url": await _sealed(context, tenant, "Url", url.encode()),
        "Kinds": ",".join(sorted(kinds)),
    }
    if stored is not None:
        await context.tables.commit(TENANTS, tenant, [Replace(_ROW, {**stored.values, **values}, stored.etag)])
        return ""
    key = os.urandom(_KEY_BYTES)
    values["Key"] = await _sealed(context, tenant, "Key", key)
    await context.tables.commit(TENANTS, tenant, [Insert(_ROW, values)])
    return base64.b64encode(key).decode()


async def rotate(context: Context, tenant: str) -> str:
    """A new key, in base64. For a day the old one signs too. Raises NotFoundError, ConflictError."""
    stored = await context.tables.get(TENANTS, tenant, _ROW)
    if stored is None:
        raise NotFoundError("there is no webhook")
    old = await _opened(context, tenant, stored, "Key")
    key = os.urandom(_KEY_BYTES)
    values: Row = {
        **stored.values,
        "Key": await _sealed(context, tenant, "Key", key),
        "PreviousKey": await _sealed(context, tenant, "PreviousKey", old),
        "PreviousUntil": context.now() + BOTH_SIGN,
    }
    await context.tables.commit(TENANTS, tenant, [Replace(_ROW, values, stored.etag)])
    return base64.b64encode(key).decode()


async def remove(context: Context, tenant: str) -> None:
    """Tell nobody any more. What waits to be sent is dropped when its turn comes."""
    await context.tables.commit(TENANTS, tenant, [Remove(_ROW), Remove(_STATE_ROW)])


async def delivery_of(context: Context, tenant: str) -> Delivery:
    """How it goes."""
    stored = await context.tables.get(TENANTS, tenant, _STATE_ROW)
    return _delivery(stored)


async def note_delivery(context: Context, tenant: str, problem: str, *, given_up: bool = False) -> None:
    """Keep how it went: `problem` is "" for something that arrived. Who is later wins."""
    for _ in range(5):
        stored = await context.tables.get(TENANTS, tenant, _STATE_ROW)
        known = _delivery(stored)
        values: Row = {
            "DeliveredAt": known.delivered_at if problem else context.now(),
            "FailedAt": context.now() if problem else known.failed_at,
            "Problem": problem or known.problem,
            "GivenUp": known.given_up + given_up,
        }
        try:
            write = Insert(_STATE_ROW, values) if stored is None else Replace(_STATE_ROW, values, stored.etag)
            await context.tables.commit(TENANTS, tenant, [write])
        except ConflictError:
            continue
        return
    await context.tables.commit(TENANTS, tenant, [Put(_STATE_ROW, values)])


def signature(keys: Iterable[bytes], body: bytes, at: datetime) -> str:
    """The header that proves a body: the time it was sent, and one HMAC-SHA256 over time and body for each key."""
    sent = str(int(at.timestamp()))
    made = [hmac.new(key, f"{sent}.".encode() + body, hashlib.sha256).hexdigest() for key in keys]
    return ",".join([f"t={sent}", *(f"v1={one}" for one in made)])


def check_url(url: str) -> None:
    """Refuse what cannot be a webhook. Where its name leads is checked when it is called. Raises InputError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputError("url", "must be an https address") from None
    if parts.scheme != "https" or parts.username is not None or parts.password is not None or parts.fragment:
        raise InputError("url", "must be an https address without a user name and without #")
    if len(url) > _LONGEST_URL or not url.isascii() or any(character <= " " for character in url):
        raise InputError("url", f"must have at most {_LONGEST_URL} characters, and no blanks")
    if port not in (None, 443):
        raise InputError("url", "must be on the usual port")
    if _is_address(host) or not _NAME.fullmatch(host) or host.rpartition(".")[2].isdecimal():
        raise InputError("url", "must name its server, not an address in numbers, and not one of your own network")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _kinds(stored: Entity) -> frozenset[Kind]:
    return frozenset(Kind(kind) for kind in str(stored.values["Kinds"]).split(",") if kind)


def _delivery(stored: Entity | None) -> Delivery:
    if stored is None:
        return Delivery()
    delivered, failed = stored.values.get("DeliveredAt"), stored.values.get("FailedAt")
    return Delivery(
        delivered if isinstance(delivered, datetime) else None,
        failed if isinstance(failed, datetime) else None,
        str(stored.values["Problem"]),
        int(str(stored.values["GivenUp"])),
    )


async def _sealed(context: Context, tenant: str, name: str, value: bytes) -> bytes:
    return (await context.keyring.keys(tenant)).sealer.seal(value, place=_place(tenant, name))


async def _opened(context: Context, tenant: str, stored: Entity, name: str) -> bytes:
    sealed = stored.values[name]
    assert isinstance(sealed, bytes)
    return (await context.keyring.keys(tenant)).sealer.open(sealed, place=_place(tenant, name))


def _place(tenant: str, name: str) -> str:
    return f"{TENANTS}|{tenant}|{_ROW}|{name}"
