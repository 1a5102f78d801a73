"""A message that could not be handled becomes a row without personal data, and no run waits for it any longer."""

from __future__ import annotations

import logging
from datetime import datetime

from sync_core import messages
from sync_core.engine import runs
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, MessageError, NotFoundError, Reason
from sync_core.model import MailboxResult, RunState
from sync_core.ports import Insert, Tables
from sync_core.state.names import POISON
from sync_core.state.runs import load_chunk, load_run, new_run_id, save_chunk

log = logging.getLogger("rollcall.poison")

_UNREADABLE = "unreadable"


async def bury(context: Context, queue: str, body: bytes) -> None:
    """Record a poisoned message of `queue` and end what waited for it. Replicas stay dirty: the next run serves them."""
    tenant, detail = _UNREADABLE, ""
    try:
        if queue == messages.SYNC_START:
            start = messages.parse(messages.SyncStart, body)
            tenant, detail = start.tenant, start.run
            await _fail_run(context, start.tenant, start.run)
        elif queue == messages.SYNC_CHUNK:
            chunk = messages.parse(messages.SyncChunk, body)
            tenant, detail = chunk.tenant, f"{chunk.run}/{chunk.chunk}"
            await _fail_chunk(context, chunk)
        elif queue == messages.RUN_CHECK:
            check = messages.parse(messages.RunCheck, body)
            tenant, detail = check.tenant, check.run  # the schedule revives the run
        elif queue == messages.PURGE_TENANT:
            tenant = messages.parse(messages.PurgeTenant, body).tenant  # tomorrow's timer tries again
        elif queue == messages.PRIVACY_REQUESTS:
            step = messages.parse(messages.PrivacyStep, body)
            tenant, detail = step.tenant, step.request  # the daily look sends open requests again
        elif queue == messages.NOTIFY:
            notify = messages.parse(messages.Notify, body)
            tenant, detail = notify.tenant, notify.notice
        elif queue == messages.DISCONNECT:
            tenant = messages.parse(messages.Disconnect, body).tenant  # asked for again, it goes on
    except MessageError as error:
        detail = error.field or "body"
    await _record(context.tables, context.now(), tenant, queue, detail)
    log.error("a message of queue %s was given up: %s", queue, detail)


async def _record(tables: Tables, now: datetime, tenant: str, queue: str, detail: str) -> None:
    await tables.commit(POISON, tenant, [Insert(new_run_id(now), {"Queue": queue, "Detail": detail, "At": now})])


async def _fail_run(context: Context, tenant: str, run_id: str) -> None:
    try:
        run = await load_run(context.tables, tenant, run_id)
    except NotFoundError:
        return
    if not run.state.final:
        await runs.end_run(context, run, RunState.FAILED, Reason.INTERNAL_ERROR)


async def _fail_chunk(context: Context, message: messages.SyncChunk) -> None:
    try:
        run = await load_run(context.tables, message.tenant, message.run)
    except NotFoundError:
        return
    chunk = await load_chunk(context.tables, run, message.chunk)
    if chunk is None or chunk.done or chunk.part != message.part:
        return
    finished = {result.mailbox for result in chunk.results}
    for replica in chunk.replicas:
        if replica.mailbox not in finished:
            chunk.results.append(MailboxResult(replica.mailbox, "failed", Reason.INTERNAL_ERROR))
    chunk.done = True
    try:
        await save_chunk(context.tables, run, chunk)
    except ConflictError:
        log.info("chunk %s of run %s was noted meanwhile", message.chunk, message.run)
