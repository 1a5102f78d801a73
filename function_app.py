"""Every trigger of the app, one line of delegation each. Heavy packages are imported where they are first used."""

from __future__ import annotations

from functools import partial

import azure.functions as func

import api.surface
from composition import context, tenancy
from gdpr import privacy_queue, purge
from sync_core import messages
from sync_core.engine import chunk, closing, poison, schedule, start
from sync_core.engine.delivery import deliver
from tenancy import leaving, notices

STORAGE = "AzureWebJobsStorage"

app = func.FunctionApp()
for group in api.surface.GROUPS:
    app.register_functions(group.blueprint)


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
    await deliver(context(), messages.SYNC_START, messages.SyncStart, start.start_run, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=messages.SYNC_CHUNK, connection=STORAGE)
async def sync_chunk(msg: func.QueueMessage) -> None:
    """Serve up to twenty mailboxes."""
    await deliver(context(), messages.SYNC_CHUNK, messages.SyncChunk, chunk.run_chunk, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=messages.RUN_CHECK, connection=STORAGE)
async def run_check(msg: func.QueueMessage) -> None:
    """Close a run that is complete."""
    await deliver(context(), messages.RUN_CHECK, messages.RunCheck, closing.check_run, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=messages.PURGE_TENANT, connection=STORAGE)
async def purge_tenant(msg: func.QueueMessage) -> None:
    """Purge one tenant."""
    await deliver(context(), messages.PURGE_TENANT, messages.PurgeTenant, purge.purge_tenant, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=messages.PRIVACY_REQUESTS, connection=STORAGE)
async def privacy_requests(msg: func.QueueMessage) -> None:
    """Go on with a privacy request."""
    await deliver(context(), messages.PRIVACY_REQUESTS, messages.PrivacyStep, privacy_queue.take_steps, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=messages.NOTIFY, connection=STORAGE)
async def notify(msg: func.QueueMessage) -> None:
    """Tell a tenant's webhook."""
    await deliver(context(), messages.NOTIFY, messages.Notify, partial(notices.tell, tenancy), msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=messages.DISCONNECT, connection=STORAGE)
async def disconnect(msg: func.QueueMessage) -> None:
    """Go on with disconnecting a tenant."""
    await deliver(context(), messages.DISCONNECT, messages.Disconnect, partial(leaving.go_on, tenancy), msg.get_body())


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


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.PRIVACY_REQUESTS}-poison", connection=STORAGE)
async def privacy_requests_poison(msg: func.QueueMessage) -> None:
    """Give up a step until tomorrow's look."""
    await poison.bury(context(), messages.PRIVACY_REQUESTS, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.NOTIFY}-poison", connection=STORAGE)
async def notify_poison(msg: func.QueueMessage) -> None:
    """Give up a notification."""
    await poison.bury(context(), messages.NOTIFY, msg.get_body())


@app.queue_trigger(arg_name="msg", queue_name=f"{messages.DISCONNECT}-poison", connection=STORAGE)
async def disconnect_poison(msg: func.QueueMessage) -> None:
    """Stop disconnecting until somebody asks for it again."""
    await poison.bury(context(), messages.DISCONNECT, msg.get_body())
