"""What tests of privacy requests share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from gdpr.audit_chain import Actor
from gdpr.export import load_export, open_part
from gdpr.privacy_queue import start_request
from gdpr.requests import Request, RequestKind, confirm, identifiers_of, load_request, make_request
from gdpr.subject import find_people
from local.m365.mailbox import Contact
from sync_core.engine.context import Context
from sync_core.errors import RollcallError, TransientError
from tests.engine.world import TENANT, World, deliver

DEATHS_EVERY = int(os.environ.get("ROLLCALL_DEATHS_EVERY", "5"))
"""At which of the storage's moments a worker dies: 1 takes every one, and minutes."""

OFFICER = Actor("user", "99999999-aaaa-4aaa-8aaa-111111111111", TENANT)


async def asked(world: World, kind: RequestKind, *emails: str, ids: tuple[str, ...] = ()) -> Request:
    """A request for whoever has these addresses or ids, confirmed and sent to the queue."""
    identifiers = identifiers_of(object_ids=ids, emails=emails)
    request = await make_request(world.context, TENANT, kind, identifiers, by=OFFICER)
    matches = await find_people(world.context, TENANT, identifiers)
    request = await confirm(world.context, TENANT, request.request, by=OFFICER, keys=list(matches))
    await start_request(world.context, request)
    return request


async def fetch_export(
    context: Context, tenant: str, request: str, *, by: Actor, is_officer: bool, part: int = 1
) -> AsyncIterator[bytes]:
    """The bytes of a part of an export, if they may be had."""
    return await open_part(context, await load_export(context, tenant, request, by=by, is_officer=is_officer), part)


async def done(world: World, request: Request) -> Request:
    """The request after everything that waits has been delivered."""
    await world.settle()
    return await load_request(world.context, TENANT, request.request)


async def operations(world: World, request: Request) -> int:
    """How many moments of storage (before and after each operation) an undisturbed request takes."""
    count = 0

    async def hook(_moment: str, _operation: str, _target: str) -> None:
        nonlocal count
        count += 1

    world.tables.hook = hook
    await done(world, request)
    return count


async def dying(world: World, request: Request, at: int) -> Request:
    """The request after two workers did what was to do, one of which died at the storage's moment `at`."""
    count = 0

    async def hook(_moment: str, _operation: str, _target: str) -> None:
        nonlocal count
        count += 1
        if count == at + 1:
            raise TransientError("died")

    world.tables.hook = hook
    crew = [world.worker("one", lease=60), world.worker("two", lease=60)]
    while (delivered := world.queues.next_at()) is not None:
        if delivered > world.clock.now():
            world.clock.advance(delivered - world.clock.now())
        delivery = world.queues.receive()
        assert delivery
        crew.reverse()
        try:
            await deliver(crew[0], delivery)
        except RollcallError:  # whatever a delivery fails with, the host repeats it
            world.queues.give_back(delivery, delay=60)
    return await load_request(world.context, TENANT, request.request)


def everywhere(world: World, text: str) -> list[Contact]:
    """All contacts of all mailboxes that hold a text, Deleted Items included."""
    boxes = world.tenant.mailboxes.values()
    return [contact for box in boxes for contact in box.items() if text in repr(contact.values)]
