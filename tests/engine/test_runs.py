"""The life of a run, seen from outside."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from local.m365.faults import Fault, FaultKind
from local.memory import Delivery
from sync_core import messages
from sync_core.engine import context as settings
from sync_core.engine import poison, runs
from sync_core.errors import Reason
from sync_core.model import Counts, RunState
from sync_core.state.names import POISON
from sync_core.state.runs import Check, all_chunks, load_run, newest_runs
from sync_core.state.syncs import load_sync
from sync_core.state.tenants import load_tenant
from tests.engine.hazards import Fuse, Hazards, Site
from tests.engine.world import NIGHTLY, START, SYNC, TENANT, World, deliver

NIGHT = timedelta(days=1)


async def queued(world: World) -> list[dict[str, object]]:
    """The bodies of all messages that wait; they stay."""
    taken = []
    while (upcoming := world.queues.next_at()) is not None:
        world.clock.advance(max(upcoming - world.clock.now(), timedelta()))
        delivery = world.queues.receive()
        assert delivery is not None
        taken.append(delivery)
    for delivery in taken:
        world.queues.give_back(delivery)
    return [json.loads(delivery.body) for delivery in taken]


# --- reports ---------------------------------------------------------------------------------------------------------------


async def test_a_run_reports_exactly_what_it_did() -> None:
    world = World()
    mailboxes = world.hire_many(6, mailboxes=4)[:4]
    leaver = world.hire("Gone Soon", mailbox="none")
    await world.connect()
    await world.run()
    world.clock.advance(NIGHT)
    world.tenant.set_mailbox_state(mailboxes[3], "outOfScope")
    world.tenant.remove_user(leaver)
    world.tenant.change_user(mailboxes[0], {"department": "Legal"})
    world.hire("New Colleague", mailbox="none")
    world.cloud.counters.reset()

    run = await world.run()

    assert run.state is RunState.PARTIAL
    assert (run.people, run.targets) == (7, 4)
    assert run.outcomes == {"done": 3, "set_aside": 1}
    assert run.reasons == {Reason.OUT_OF_SCOPE: 1}
    assert run.counts == Counts(created=3, updated=3, deleted=3)
    assert run.spent.requests == world.cloud.counters.requests
    assert run.spent.http_calls == world.cloud.counters.http_calls
    assert run.started_at is not None
    assert run.ended_at is not None
    results = await world.results(run)
    assert results.keys() == set(mailboxes)
    assert results[mailboxes[0]].counts == Counts(1, 1, 1)
    assert (results[mailboxes[3]].reason, results[mailboxes[3]].detail) == (Reason.OUT_OF_SCOPE, "ErrorAccessDenied")


async def test_a_mailbox_that_takes_several_parts_reports_their_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch takes half a minute: nine fit into the working time of a delivery."""
    world = World()
    mailbox = world.hire_many(400, mailboxes=1)[0]
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.LATENCY, method="POST", path="/contacts$", delay=6))
    run = await world.run()
    (chunk,) = [chunk async for chunk in all_chunks(world.tables, run)]
    assert chunk.part >= 2
    assert run.counts == Counts(created=400)
    assert (await world.results(run))[mailbox].counts == Counts(created=400)
    assert len(world.names(mailbox)) == 400
    assert world.cloud.counters.templates["POST /users/{id}/contactfolders/{id}/contacts"] == 400


async def test_a_run_that_looks_at_everything_still_does_so_for_a_mailbox_that_had_to_wait() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    await world.run()
    box = world.tenant.mailbox(mailbox)
    box.delete_folder(world.tenant.folder(mailbox, "Colleagues"))
    world.cloud.faults.add(Fault(FaultKind.THROTTLED, mailbox=mailbox, retry_after=200, times=1))
    run = await world.run(check=Check.EVERYTHING)
    assert run.counts.created == 3
    assert len(world.names(mailbox)) == 3


# --- asking for runs ---------------------------------------------------------------------------------------------------------


async def test_a_second_request_coalesces_and_another_run_follows() -> None:
    world = World()
    world.hire_many(3)
    await world.connect()
    first = await runs.request_run(world.context, TENANT, SYNC)
    assert await runs.request_run(world.context, TENANT, SYNC) == first
    assert await runs.request_run(world.context, TENANT, SYNC) == first
    await world.settle()
    states = [run.state async for run in newest_runs(world.tables, TENANT)]
    assert states == [RunState.SUCCEEDED, RunState.SUCCEEDED]


async def test_the_schedule_starts_what_is_due_and_makes_up_a_missed_night_once() -> None:
    world = World()
    world.hire_many(3)
    await world.connect({"schedule": NIGHTLY})
    for _ in range(2):
        await world.tick()
    world.clock.advance(timedelta(days=3, hours=2))
    await world.settle()
    for _ in range(3):
        await world.tick()
        await world.settle()
    assert len([run async for run in newest_runs(world.tables, TENANT)]) == 2
    assert (await load_sync(world.tables, TENANT, SYNC)).next_run == START + timedelta(days=4)


async def test_a_run_by_hand_does_not_move_the_nightly_one() -> None:
    world = World()
    world.hire_many(3)
    await world.connect({"schedule": NIGHTLY})
    await world.tick()
    await world.settle()
    world.clock.advance(timedelta(hours=14))
    await world.run()
    assert (await load_sync(world.tables, TENANT, SYNC)).next_run == START + NIGHT


async def test_a_look_for_late_writes_does_not_move_the_nightly_run() -> None:
    world = World()
    world.hire_many(3)
    await world.connect({"schedule": NIGHTLY})
    world.cloud.faults.add(Fault(FaultKind.LOST, method="POST", path="/contacts$", times=1))
    await world.tick()
    await world.settle()
    world.clock.advance(timedelta(minutes=15))
    await world.tick()
    await world.settle()
    assert len([run async for run in newest_runs(world.tables, TENANT)]) == 2
    assert (await load_sync(world.tables, TENANT, SYNC)).next_run == START + NIGHT


async def test_a_run_that_fell_silent_is_revived() -> None:
    world = World()
    mailbox = world.hire_many(3)[0]
    await world.connect()
    run = await runs.request_run(world.context, TENANT, SYNC)
    assert world.queues.receive() is not None  # and it is lost
    world.clock.advance(timedelta(minutes=31))
    await world.tick()
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).state is RunState.SUCCEEDED
    assert len(world.names(mailbox)) == 3


async def test_a_long_run_is_not_taken_for_a_silent_one() -> None:
    world = World()
    world.hire_many(400, mailboxes=1)
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.LATENCY, method="POST", path="/contacts$", delay=40))
    await runs.request_run(world.context, TENANT, SYNC)
    looks = []
    while world.queues.next_at() is not None:
        await world.settle(most=1)
        await world.tick()
        looks.append(sum("attempt" in body for body in await queued(world)))
    assert world.clock.now() - START > timedelta(hours=1)
    assert sum(waiting > 1 for waiting in looks) <= 1  # only the last chunk asks for a look of its own
    assert max(looks) <= 2


# --- mailboxes and tenants that cannot be served -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("none", Reason.NO_MAILBOX),
        ("onPremises", Reason.NO_MAILBOX),
        ("outOfScope", Reason.OUT_OF_SCOPE),
        ("full", Reason.QUOTA_FULL),
    ],
)
async def test_an_unreachable_mailbox_is_set_aside_with_its_reason_and_served_when_it_is_back(state: str, reason: Reason) -> None:
    world = World()
    mailboxes = world.hire_many(5)
    world.tenant.set_mailbox_state(mailboxes[0], state)
    await world.connect({"schedule": NIGHTLY})
    run = await world.run()
    assert (run.state, run.outcomes, run.reasons) == (RunState.PARTIAL, {"set_aside": 1, "done": 4}, {reason: 1})
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    world.clock.advance(NIGHT)
    await world.tick()
    await world.settle()
    assert (await world.last_run()).state is RunState.SUCCEEDED
    assert len(world.names(mailboxes[0])) == 5


async def test_a_mailbox_that_moves_for_hours_does_not_keep_the_run_open() -> None:
    world = World()
    mailboxes = world.hire_many(5)
    await world.connect()
    world.tenant.set_mailbox_state(mailboxes[0], "moving")
    run = await world.run()
    assert (run.state, run.reasons) == (RunState.PARTIAL, {Reason.MAILBOX_MOVING: 1})
    assert world.clock.now() - START < timedelta(minutes=5)
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    assert (await world.run(check=Check.CHANGES)).state is RunState.SUCCEEDED  # who asks for a look gets it at once
    assert len(world.names(mailboxes[0])) == 5


@pytest.mark.parametrize("consent", ["revoked", "disabled"])
async def test_revoked_consent_stops_the_tenant_and_says_so(consent: str) -> None:
    world = World()
    mailbox = world.hire_many(3)[0]
    await world.connect({"schedule": NIGHTLY})
    world.tenant.app.consent = consent
    await world.tick()
    await world.settle()
    run = await world.last_run()
    assert (run.state, run.reason) == (RunState.FAILED, Reason.CONSENT_MISSING)
    assert (await load_tenant(world.tables, TENANT)).stopped == Reason.CONSENT_MISSING
    calls = world.cloud.counters.token_calls
    world.clock.advance(NIGHT)
    await world.tick()
    await world.settle()
    run = await world.last_run()
    assert (run.state, run.reason) == (RunState.FAILED, Reason.TENANT_STOPPED)
    assert world.cloud.counters.token_calls == calls  # nobody knocks any more
    world.tenant.app.consent = "granted"
    assert (await world.run()).state is RunState.SUCCEEDED
    assert len(world.names(mailbox)) == 3


async def test_a_permission_taken_away_in_the_middle_stops_the_tenant() -> None:
    world = World()
    world.hire_many(3)
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.ERROR, path="/contactFolders", status=403, code="Authorization_RequestDenied"))
    run = await world.run()
    assert (run.state, run.reason) == (RunState.FAILED, Reason.TENANT_STOPPED)
    assert (await load_tenant(world.tables, TENANT)).stopped == Reason.CONSENT_MISSING


# --- many mailboxes, many messages ---------------------------------------------------------------------------------------------


async def test_a_large_tenant_has_a_bounded_number_of_messages_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_core.engine.targets.MAILBOXES_PER_CHUNK", 1)
    world = World()
    mailboxes = world.hire_many(settings.CHUNKS_AHEAD * 2 + 5)
    await world.connect()
    await runs.request_run(world.context, TENANT, SYNC)
    waiting = []
    while world.queues.next_at() is not None:
        await world.settle(most=1)
        waiting.append(len(world.queues))
    assert max(waiting) <= settings.CHUNKS_AHEAD + 1
    assert (await world.last_run()).outcomes == {"done": len(mailboxes)}


async def test_half_of_all_items_throttled_for_a_minute() -> None:
    world = World()
    mailboxes = world.hire_many(60, mailboxes=6)[:6]
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.THROTTLED, share=0.5, seconds=60, retry_after=7, path="/contactFolders"))
    run = await world.run()
    assert run.state is RunState.SUCCEEDED
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [60] * 6
    assert all(len(contacts) == 1 for mailbox in mailboxes for contacts in world.ours(mailbox).values())
    assert run.spent.throttled > 100
    # every item is asked for once, and again after each refusal: no storm
    assert run.spent.requests <= 6 * 62 + run.spent.throttled + 1
    assert run.spent.throttled <= 6 * 62
    assert max(world.cloud.counters.widths[mailbox].highest for mailbox in mailboxes) <= 4
    assert world.cloud.counters.statuses[429] == run.spent.throttled


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"tenant": "x"}', b'{"tenant": "../x", "sync": "a", "run": "b", "chunk": 1}']
)
async def test_a_malformed_message_is_given_up_at_once(body: bytes) -> None:
    world = World()
    await world.connect()
    await deliver(world.context, Delivery(messages.SYNC_CHUNK, body))
    rows = [row async for row in world.tables.scan(POISON)]
    assert len(rows) == 1
    assert len(world.queues) == 0


async def test_a_chunk_that_is_given_up_fails_its_mailboxes_and_not_the_run() -> None:
    world = World()
    mailboxes = world.hire_many(3)
    await world.connect()
    run = await runs.request_run(world.context, TENANT, SYNC)
    await world.settle(most=1)
    chunk = world.queues.receive(messages.SYNC_CHUNK)
    assert chunk is not None
    await poison.bury(world.context, messages.SYNC_CHUNK, chunk.body)
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).state in (RunState.PARTIAL, RunState.HELD)
    assert (await world.run()).state is RunState.SUCCEEDED
    assert len(world.names(mailboxes[0])) == 3


@pytest.mark.parametrize("kind", list(messages.QUEUES[:3]))
async def test_messages_of_runs_that_are_no_more_are_ignored(kind: str) -> None:
    world = World()
    await world.connect()
    body = {"tenant": TENANT, "sync": SYNC, "run": "8206338000000-00000000"}
    await world.queues.send(kind, {**body, "chunk": 0} if kind == messages.SYNC_CHUNK else body)
    await world.settle()
    assert [run async for run in newest_runs(world.tables, TENANT)] == []


# --- workers that die ----------------------------------------------------------------------------------------------------------


async def test_a_release_survives_a_worker_that_dies_while_it_plans() -> None:
    hazards = Hazards()
    world = Site(hazards)
    mailboxes = world.hire_many(6, mailboxes=2)[:2]
    await world.connect({"brakes": {"percent": 20, "at_least": 2}})
    await world.run()
    world.clock.advance(NIGHT)
    for user in list(world.tenant.directory.users.objects)[-2:]:
        world.tenant.remove_user(user)
    held = await world.run()
    released = await runs.release(world.context, TENANT, held.run)
    for after in range(1, 60, 2):
        hazards.fuses = [Fuse(hazards.kill, after)]
        await world.deliver_next()
        if (await load_run(world.tables, TENANT, released)).state is not RunState.QUEUED:
            break
    hazards.fuses.clear()
    await world.drain()
    run = await load_run(world.tables, TENANT, released)
    assert (run.state, run.released, run.counts.deleted) == (RunState.SUCCEEDED, True, 4)
    assert len(world.names(mailboxes[0])) == 4
