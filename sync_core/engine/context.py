"""What every step of a run works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync_core.notices import Notice
from sync_core.ports import Blobs, Clock, Keyring, MicrosoftGraph, Queues, Tables

WORKING_TIME = timedelta(minutes=4)
"""How long one delivery of a chunk works before it saves and goes back to the queue: well under a claim and the host's limit."""

AUDIT_EVERY = timedelta(hours=20)
"""A nightly run finds every replica due, whatever the exact minute it starts."""

LOOK_AGAIN = timedelta(hours=20)
"""When a mailbox that was set aside, or could not be cleaned, is tried again."""

LOOK_FOR_RESTORED = timedelta(days=7)
"""How often a mailbox that is gone is looked for again."""

LATE_WRITE = timedelta(minutes=10)
"""How long after a lost answer the write may still commit."""

MAILBOXES_PER_CHUNK = 20
ITEMS_PER_CHUNK = 100_000
"""Bounds a worker's memory: fewer mailboxes at a time when each holds many items."""

CHUNKS_AHEAD = 40
"""Chunks of one run that wait in the queue at a time, so that a large tenant does not block a small one behind it."""


async def _everybody(_tenant: str) -> None:
    return None


async def _nobody(_notice: Notice) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """The ports, and who we are.

    `installation` stands in every mark. `lease` is how long a claim on a replica holds. `owner` names this process. `purge`
    empties the caches of one sync (tenant, sync), or of a whole tenant (tenant, None). `admit` raises NotAdmittedError when a run
    must not read a tenant's data. `notify` takes note of something that the tenant's admins want to know; it may be told twice.
    """

    tables: Tables
    queues: Queues
    blobs: Blobs
    graph: MicrosoftGraph
    keyring: Keyring
    clock: Clock
    installation: str
    lease: timedelta
    owner: str
    purge: Callable[[str, str | None], Awaitable[None]]
    admit: Callable[[str], Awaitable[None]] = _everybody
    notify: Callable[[Notice], Awaitable[None]] = _nobody

    def now(self) -> datetime:
        """The time now, in UTC."""
        return self.clock.now()
