"""From something that happened to a tenant's webhook: noted, sent, sent again, given up where it can be seen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import orjson

from sync_core import messages
from sync_core.engine.context import Context
from sync_core.errors import ConflictError
from sync_core.notices import Kind, Notice
from sync_core.ports import Entity, Insert, Replace, Row
from sync_core.state.names import NOTICES
from tenancy import webhooks
from tenancy.services import Tenancy, UnreachableError

log = logging.getLogger("rollcall.notices")

SIGNATURE = "Rollcall-Signature"

BACKOFF = (60, 300, 1800, 7200, 21600, 43200)
"""Seconds until each further attempt."""


class State(StrEnum):
    """Where a notice has got to."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    DROPPED = "dropped"  # there is no webhook any more


async def note(context: Context, notice: Notice) -> None:
    """Keep a notice and have it sent, if the tenant wants to hear of it. To be told twice is to be told once."""
    if notice.kind not in await webhooks.kinds_of(context, notice.tenant):
        return
    values: Row = {
        "Kind": notice.kind,
        "Sync": notice.sync,
        "Run": notice.run,
        "Reason": notice.reason,
        "Request": notice.request,
        "At": context.now(),
        "State": State.PENDING,
        "Attempts": 0,
    }
    try:
        await context.tables.commit(NOTICES, notice.tenant, [Insert(notice.notice, values)])
    except ConflictError:
        stored = await context.tables.get(NOTICES, notice.tenant, notice.notice)
        if stored is None or stored.values["State"] != State.PENDING or stored.values["Attempts"] != 0:
            return  # it is under way; else whoever noted it may have died before it was sent
    await context.queues.send(messages.NOTIFY, messages.as_dict(messages.Notify(notice.tenant, notice.notice)))


async def tell(tenancy: Callable[[], Tenancy], context: Context, message: messages.Notify) -> None:
    """Send a notice once. What does not arrive is sent again later, and after the last attempt given up."""
    stored = await context.tables.get(NOTICES, message.tenant, message.notice)
    if stored is None or stored.values["State"] != State.PENDING or message.attempt < int(str(stored.values["Attempts"])):
        return
    webhook = await webhooks.load(context, message.tenant)
    if webhook is None:
        await _save(context, stored, State.DROPPED, message.attempt)
        return
    body = _body(stored)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Rollcall",
        SIGNATURE: webhooks.signature(webhook.keys, body, context.now()),
    }
    try:
        status = await tenancy().webhook.post(webhook.url, body, headers)
        problem = "" if 200 <= status < 300 else f"status {status}"
    except UnreachableError as error:
        problem = error.why
    if not problem:
        await _save(context, stored, State.DELIVERED, message.attempt)
        await webhooks.note_delivery(context, message.tenant, "")
        return
    attempts = message.attempt + 1
    if attempts > len(BACKOFF):
        log.warning("notice %s of tenant %s was given up: %s", message.notice, message.tenant, problem)
        if await _save(context, stored, State.GIVEN_UP, attempts):
            await webhooks.note_delivery(context, message.tenant, problem, given_up=True)
        return
    # first the message: a death in between means one attempt too many, not one too few
    again = messages.Notify(message.tenant, message.notice, attempts)
    await context.queues.send(messages.NOTIFY, messages.as_dict(again), delay=BACKOFF[message.attempt])
    await _save(context, stored, State.PENDING, attempts)
    await webhooks.note_delivery(context, message.tenant, problem)


async def _save(context: Context, stored: Entity, state: State, attempts: int) -> bool:
    values = {**stored.values, "State": state, "Attempts": attempts}
    try:
        await context.tables.commit(NOTICES, stored.partition, [Replace(stored.row, values, stored.etag)])
    except ConflictError:
        return False  # another delivery of the same message was quicker
    return True


def _body(stored: Entity) -> bytes:
    at = stored.values["At"]
    assert isinstance(at, datetime)
    told = {
        "id": stored.row,
        "type": Kind(str(stored.values["Kind"])),
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tenant": stored.partition,
        **{name.lower(): stored.values[name] for name in ("Sync", "Run", "Reason", "Request") if stored.values.get(name)},
    }
    return orjson.dumps(told)
