"""Goes through every mailbox of a tenant, with nothing of our own to know them by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sync_core.engine.context import MAILBOXES_PER_CHUNK
from sync_core.errors import MailboxError, Reason, TransientError
from sync_core.kinds import CONTACTS, EVENTS, Kind
from sync_core.ports import Mailboxes, MicrosoftGraph

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visit(Generic[T]):
    """What came of one mailbox; when it could not be served (any further), `outcome` is None and `problem` says why."""

    mailbox: str
    outcome: T | None
    problem: Reason | None = None

    @property
    def worth_repeating(self) -> bool:
        """Whether something may be left there: not where there is no mailbox."""
        return self.problem not in (None, Reason.NO_MAILBOX, Reason.MAILBOX_GONE)


async def visit_all(
    graph: MicrosoftGraph, tenant: str, serve: Callable[[Mailboxes, str], Awaitable[T]], kind: Kind = CONTACTS
) -> AsyncIterator[Visit[T]]:
    """Serve the mailbox of every user of the directory, as far as items of this kind go, twenty side by side.

    Raises SourceError, TenantError and TransientError when the directory cannot be read.
    """
    users: dict[str, None] = {}
    async for page in graph.directory(tenant).users(None):
        users |= dict.fromkeys(user["id"] for user in page.changed)
        for gone in page.removed:
            users.pop(gone, None)
    mailboxes = graph.calendars(tenant) if kind is EVENTS else graph.mailboxes(tenant)
    ids = list(users)
    for start in range(0, len(ids), MAILBOXES_PER_CHUNK):
        for visit in await asyncio.gather(*(_visit(mailboxes, one, serve) for one in ids[start : start + MAILBOXES_PER_CHUNK])):
            yield visit


async def _visit(mailboxes: Mailboxes, mailbox: str, serve: Callable[[Mailboxes, str], Awaitable[T]]) -> Visit[T]:
    with mailboxes.sharing():
        try:
            return Visit(mailbox, await serve(mailboxes, mailbox))
        except MailboxError as error:
            return Visit(mailbox, None, error.reason)
        except TransientError:
            return Visit(mailbox, None, Reason.MAILBOX_BUSY)
