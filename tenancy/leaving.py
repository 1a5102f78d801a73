"""Disconnecting a tenant, step by step: stop, take out of the mailboxes what we wrote if that is wanted, forget everything.

Each delivery of its message does what can be done now and asks for the next one. It may die anywhere and be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync_core import messages
from sync_core.engine import admin, runs
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, NotFoundError, Reason
from sync_core.ports import Put, Remove, Row
from sync_core.state.names import DEPARTURES
from sync_core.state.syncs import Sync, syncs_of
from sync_core.state.tenants import load_tenant, save_tenant
from tenancy.services import Tenancy

log = logging.getLogger("rollcall.leaving")

_ROW = "departure"
_LOOK_EVERY = 10.0  # seconds, and as much more with each look
_LONGEST_WAIT = 900.0


class Step(StrEnum):
    """What a disconnection waits for."""

    REMOVING = "removing"  # what was written is taken out of the mailboxes
    STOPPING = "stopping"  # what is under way has to end
    ERASING = "erasing"


@dataclass(frozen=True, slots=True)
class Departure:
    """A disconnection under way. `by` is who asked for it, `syncs` how many are not done with yet."""

    by: str
    at: datetime
    remove: bool
    step: Step
    syncs: int = 0


async def leave(context: Context, tenant: str, *, by: str, remove: bool) -> None:
    """Begin to disconnect a tenant, go on where it has stopped, or give up removing. Raises NotFoundError."""
    await load_tenant(context.tables, tenant)
    values: Row = {"By": by, "At": context.now(), "Remove": remove}
    await context.tables.commit(DEPARTURES, tenant, [Put(_ROW, values)])
    await _send(context, tenant, 0)


async def departure(context: Context, tenant: str) -> Departure:
    """How far it has got. Raises NotFoundError when the tenant is not being disconnected."""
    stored = await context.tables.get(DEPARTURES, tenant, _ROW)
    if stored is None:
        raise NotFoundError("the tenant is not being disconnected")
    remove, at = bool(stored.values["Remove"]), stored.values["At"]
    assert isinstance(at, datetime)
    left = [] if stored.values.get("Erasing") else [sync async for sync in _left(context, tenant, remove=remove)]
    step = Step.ERASING if not left else Step.REMOVING if remove else Step.STOPPING
    return Departure(str(stored.values["By"]), at, remove, step, len(left))


async def go_on(tenancy: Callable[[], Tenancy], context: Context, message: messages.Disconnect) -> None:
    """Do what can be done now."""
    stored = await context.tables.get(DEPARTURES, message.tenant, _ROW)
    if stored is None:
        return
    if stored.values.get("Erasing"):  # a delivery before this one has destroyed its keys, and died: nothing opens any more
        await _erase(tenancy, context, message.tenant)
        return
    remove = bool(stored.values["Remove"])
    with suppress(NotFoundError):
        if not remove:
            await _stop(context, message.tenant)
        left = [sync async for sync in _left(context, message.tenant, remove=remove)]
        if remove:
            stopped = bool((await load_tenant(context.tables, message.tenant)).stopped)
            for sync in left:
                await _remove(context, sync, stopped=stopped)
        if left:
            await _send(context, message.tenant, message.attempt + 1)
            return
        await _stop(context, message.tenant)
    await context.tables.commit(DEPARTURES, message.tenant, [Put(_ROW, {**stored.values, "Erasing": True})])
    await _erase(tenancy, context, message.tenant)


async def _erase(tenancy: Callable[[], Tenancy], context: Context, tenant: str) -> None:
    await tenancy().erase(tenant)
    await context.tables.commit(DEPARTURES, tenant, [Remove(_ROW)])
    log.info("tenant %s was disconnected", tenant)


async def _left(context: Context, tenant: str, *, remove: bool) -> AsyncIterator[Sync]:
    """Syncs that are not done with: those that hold anything in a mailbox, or else those at work."""
    async for sync in syncs_of(context.tables, tenant):
        if (remove and not sync.ended) or sync.active_run:
            yield sync


async def _remove(context: Context, sync: Sync, *, stopped: bool) -> None:
    """Have a sync take back what it wrote; one that has stopped on the way goes on, unless its tenant is `stopped` too."""
    with suppress(NotFoundError):
        if not sync.deleting:
            await admin.delete_sync(context, sync.tenant, sync.sync)
        elif not stopped and not sync.active_run and sync.next_run is None:
            await runs.request_run(context, sync.tenant, sync.sync)


async def _stop(context: Context, tenant: str) -> None:
    """Let nothing begin any more."""
    while True:
        record = await load_tenant(context.tables, tenant)
        if record.stopped == Reason.DISCONNECTED:
            return
        record.stopped = Reason.DISCONNECTED
        with suppress(ConflictError):
            await save_tenant(context.tables, record)
            return


async def _send(context: Context, tenant: str, attempt: int) -> None:
    delay = min(_LOOK_EVERY * attempt, _LONGEST_WAIT)
    await context.queues.send(messages.DISCONNECT, messages.as_dict(messages.Disconnect(tenant, attempt)), delay=delay)
