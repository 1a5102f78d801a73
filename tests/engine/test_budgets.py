"""What runs may cost, in Graph requests (items of a batch count one by one) and HTTP calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from sync_core import marks
from sync_core.model import RunState
from tests.engine.world import SYNC, TENANT, World

PEOPLE = 130


@dataclass
class Cost:
    """Of what happened inside `measured`, without the directory and tokens."""

    requests: int = 0
    calls: int = 0


@contextmanager
def measured(world: World) -> Iterator[Cost]:
    counters = world.cloud.counters
    counters.reset()
    cost = Cost()
    yield cost
    directory = counters.templates["GET /users/delta"]
    cost.requests = counters.requests - directory
    cost.calls = counters.http_calls - directory


async def synced(*, mailboxes: int, people: int = PEOPLE) -> World:
    world = World()
    world.hire_many(people, mailboxes=mailboxes)
    await world.connect()
    await world.run()
    # the first audit tells of our own writes: it belongs to the first sync
    world.clock.advance(timedelta(days=1))
    await world.run()
    return world


async def test_first_sync_into_a_new_folder() -> None:
    world = World()
    world.hire_many(PEOPLE, mailboxes=1)
    await world.connect()
    with measured(world) as cost:
        run = await world.run()
    assert run.counts.created == PEOPLE
    assert cost.requests <= PEOPLE + 2
    assert cost.calls <= -(-PEOPLE // 20) + 2


async def test_nothing_changed_and_no_audit_due() -> None:
    world = await synced(mailboxes=3)
    with measured(world) as cost:
        await world.run()
    assert cost == Cost(0, 0)
    assert world.cloud.counters.templates["GET /users/delta"] == 1


async def test_an_audit_is_one_request_and_twenty_mailboxes_share_a_call() -> None:
    world = await synced(mailboxes=40)
    world.clock.advance(timedelta(days=1))
    with measured(world) as cost:
        await world.run()
    assert cost == Cost(40, 2)


@pytest.mark.parametrize("mailboxes", [1, 20, 40])
async def test_one_changed_contact(mailboxes: int) -> None:
    world = await synced(mailboxes=mailboxes)
    user = next(iter(world.tenant.directory.users.objects))
    world.tenant.change_user(user, {"mobilePhone": None})
    with measured(world) as cost:
        run = await world.run()
    assert run.counts.updated == mailboxes
    assert cost == Cost(mailboxes, -(-mailboxes // 20))


async def test_a_lost_cache() -> None:
    world = await synced(mailboxes=1)
    await world.context.purge(TENANT, SYNC)
    with measured(world) as cost:
        run = await world.run()
    assert run.counts.created + run.counts.updated + run.counts.deleted == 0
    # one look for the folder, one page of items; without a mailbox's delta link the next audit reads all once
    assert cost.requests <= 1 + 1


async def test_a_lost_cache_on_a_night_with_an_audit_due() -> None:
    world = await synced(mailboxes=1)
    await world.context.purge(TENANT, SYNC)
    world.clock.advance(timedelta(days=1))
    with measured(world) as cost:
        await world.run()
    assert cost.requests <= 1 + 1


@pytest.mark.parametrize("own", [0, PEOPLE])
async def test_many_deleted_or_added_contacts_are_not_looked_at_one_by_one(own: int) -> None:
    world = await synced(mailboxes=1)
    mailbox = next(iter(world.tenant.directory.users.objects))
    box, folder = world.tenant.mailbox(mailbox), world.tenant.folder(mailbox, "Colleagues")
    ours = list(folder.contacts.values())
    moved = ours[-1]
    for number in range(own):
        box.create(folder, {"displayName": f"Mine {number}"})
    for contact in ours[own:-1]:
        box.delete(contact)
    box.move(moved, box.contacts)
    world.clock.advance(timedelta(days=1))
    with measured(world) as cost:
        run = await world.run()
    assert run.counts.created == max(PEOPLE - own, 1)
    assert cost.requests - run.counts.created <= 10
    assert cost.calls <= 10 + run.counts.created // 20
    assert moved.extended[marks.KEY_PROPERTY] == marks.RELEASED


async def test_an_unreachable_mailbox_costs_one_request_a_day() -> None:
    world = World()
    mailboxes = world.hire_many(8)
    await world.connect()
    world.tenant.set_mailbox_state(mailboxes[0], "none")
    run = await world.run()
    assert run.state is RunState.PARTIAL
    for _ in range(3):
        world.clock.advance(timedelta(days=1))
        with measured(world):
            await world.run()
        assert world.cloud.counters.mailboxes[mailboxes[0]] == 1
    with measured(world):
        await world.run()
    assert world.cloud.counters.mailboxes[mailboxes[0]] == 0
