"""`schedule_syncs`: start what is due, revive what fell silent."""

from __future__ import annotations

import logging

from sync_core.engine.context import Context
from sync_core.engine.runs import STUCK_AFTER, request_run, revive_run
from sync_core.errors import ConflictError, InputError, NotFoundError
from sync_core.state.syncs import syncs_to_start

log = logging.getLogger("rollcall.schedule")


async def schedule_syncs(context: Context) -> None:
    """One run for every sync that is due (a missed time is made up once), one nudge for every run that is silent."""
    now = context.now()
    async for sync in syncs_to_start(context.tables, now, now - STUCK_AFTER):
        try:
            if sync.active_run:
                await revive_run(context, sync)
            else:
                await request_run(context, sync.tenant, sync.sync)
        except (NotFoundError, ConflictError, InputError) as error:
            log.warning("sync %s of tenant %s was not started: %s", sync.sync, sync.tenant, error)
