"""Every trigger of the app, one line of delegation each. Heavy packages are imported where they are first used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import azure.functions as func

import api.admin
from composition import context
from gdpr import purge
from sync_core import messages
from sync_core.engine import chunk, closing, poison, schedule, start
from sync_core.engine.context import Context
from sync_core.errors import MessageError

STORAGE = "AzureWebJobsStorage"

app = func.FunctionApp()
app.register_functions(api.admin.blueprint)


async def _handle(
    kind: type[messages.Message], step: Callable[[Context, messages.Message], Awaitable[None]], queue: str, msg: func.QueueMessage
) -> None:
    """Read a message and take its step; one that nobody can ever read is given up at once, not after five attempts."""
    try:
        message = messages.parse(kind, msg.get_body())
    except MessageError:
        await poison.bury(context(), queue, msg.get_body())
        return
    await step(context(), message)


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", use_monitor=True)
async def schedule_syncs(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding needs it
    """Start syncs that are due, revive runs that fell silent."""
    await schedule.schedule_syncs(context())


@app.timer_trigger(arg_name="timer", schedule="0 17 2 * * *", use_monitor=True)
async def purge_expired(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding needs it
    """Have every tenant's rows checked for their age."""
    await purge.hand_out_purges(context())


@app.queue_trigger(arg_name="msg", queue_name=messages.SYNC_START, connection=STORAGE)
async def sync_start(msg: func.QueueMessage) -> None:
    """Plan a run."""
    await _handle(messages.SyncStart, start.start_run, messages.SYNC_START, msg)


@app.queue_trigger(arg_name="msg", queue_name=messages.SYNC_CHUNK, connection=STORAGE)
async def sync_chunk(msg: func.QueueMessage) -> None:
    """Serve up to twenty mailboxes."""
    await _handle(messages.SyncChunk, chunk.run_chunk, messages.SYNC_CHUNK, msg)


@app.queue_trigger(arg_name="msg", queue_name=messages.RUN_CHECK, connection=STORAGE)
async def run_check(msg: func.QueueMessage) -> None:
    """Close a run that is complete."""
    await _handle(messages.RunCheck, closing.check_run, messages.RUN_CHECK, msg)


@app.queue_trigger(arg_name="msg", queue_name=messages.PURGE_TENANT, connection=STORAGE)
async def purge_tenant(msg: func.QueueMessage) -> None:
    """Purge one tenant."""
    await _handle(messages.PurgeTenant, purge.purge_tenant, messages.PURGE_TENANT, msg)


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.SYNC_START}-poison", connection=STORAGE)
async def sync_start_poison(msg: func.QueueMessage) -> None:
    """Give up planning a run."""
    await poison.bury(context(), messages.SYNC_START, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.SYNC_CHUNK}-poison", connection=STORAGE)
async def sync_chunk_poison(msg: func.QueueMessage) -> None:
    """Give up a chunk."""
    await poison.bury(context(), messages.SYNC_CHUNK, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.RUN_CHECK}-poison", connection=STORAGE)
async def run_check_poison(msg: func.QueueMessage) -> None:
    """Give up a look; the schedule revives the run."""
    await poison.bury(context(), messages.RUN_CHECK, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.PURGE_TENANT}-poison", connection=STORAGE)
async def purge_tenant_poison(msg: func.QueueMessage) -> None:
    """Give up a purge until tomorrow."""
    await poison.bury(context(), messages.PURGE_TENANT, msg.get_body())
