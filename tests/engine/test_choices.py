"""What employees choose for their own mailbox, from one run to the next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sync_core.choices import Choice
from sync_core.engine import admin
from sync_core.engine.employees import choose, my_list
from sync_core.engine.preview import Page, preview
from sync_core.engine.retries import replay
from sync_core.errors import InputError, NotFoundError
from sync_core.model import ReplicaState, RunState
from sync_core.ports import Insert
from sync_core.state.choices import load_choices, save_choice
from sync_core.state.replicas import load_replica
from sync_core.state.syncs import load_sync
from tests.engine.test_targets import served, synced
from tests.engine.world import SYNC, TENANT, World

OPT_OUT = {"list": "opt_out"}
OPT_IN = {"list": "opt_in"}
PAUSE = {"pause": True}


async def want(world: World, mailbox: str, choice: str) -> None:
    """The employee chooses."""
    wanted = Choice(choice)
    await choose(world.context, await my_list(world.context, TENANT, SYNC, mailbox, wants=wanted), mailbox, wanted)


async def state(world: World, mailbox: str) -> ReplicaState | None:
    replica = await load_replica(world.tables, TENANT, SYNC, mailbox)
    return replica.state if replica is not None else None


async def night(world: World) -> Any:
    world.clock.advance(timedelta(days=1))
    run = await world.run()
    assert run.state is RunState.SUCCEEDED
    return run


async def test_who_declines_a_list_loses_it_at_the_next_run_and_gets_it_back() -> None:
    world, mailboxes = await synced(self_service=OPT_OUT)
    await want(world, mailboxes[0], "off")
    await night(world)
    assert served(world) == set(mailboxes[1:])
    await want(world, mailboxes[0], "on")
    await night(world)
    assert served(world) == set(mailboxes)
    assert len(world.names(mailboxes[0])) == 3


async def test_a_declined_list_costs_nothing_and_stays_declined() -> None:
    world, mailboxes = await synced(self_service=OPT_OUT)
    await want(world, mailboxes[0], "off")
    await night(world)
    world.hire("New Colleague", mailbox="none")
    world.cloud.counters.reset()
    await night(world)
    assert await state(world, mailboxes[0]) is ReplicaState.DECLINED
    assert world.cloud.counters.mailboxes[mailboxes[0]] == 0
    assert served(world) == set(mailboxes[1:])


async def test_an_optional_list_reaches_those_who_ask_for_it() -> None:
    world, mailboxes = await synced(self_service=OPT_IN)
    assert served(world) == set()
    assert [await state(world, mailbox) for mailbox in mailboxes] == [ReplicaState.DECLINED] * 3
    await want(world, mailboxes[1], "on")
    await night(world)
    assert served(world) == {mailboxes[1]}
    await want(world, mailboxes[1], "off")
    await night(world)
    assert served(world) == set()


async def test_a_paused_mailbox_keeps_what_is_there_until_it_goes_on() -> None:
    world, mailboxes = await synced(self_service=PAUSE)
    await want(world, mailboxes[0], "paused")
    world.hire("New Colleague", mailbox="none")
    world.cloud.counters.reset()
    await night(world)
    await night(world)
    assert world.cloud.counters.mailboxes[mailboxes[0]] == 0
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [3, 4, 4]
    await want(world, mailboxes[0], "on")
    await night(world)
    assert len(world.names(mailboxes[0])) == 4
    await want(world, mailboxes[0], "paused")
    await night(world)
    await want(world, mailboxes[0], "off")
    await night(world)
    assert served(world) == set(mailboxes[1:])


async def test_what_failed_before_a_pause_is_not_tried_again_during_it() -> None:
    world, mailboxes = await synced(self_service=PAUSE)
    world.tenant.set_mailbox_state(mailboxes[0], "outOfScope")
    world.hire("New Colleague", mailbox="none")
    failed = await world.run()
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    await want(world, mailboxes[0], "paused")
    await night(world)
    await replay(world.context, TENANT, failed.run)
    await world.settle()
    await night(world)
    assert await state(world, mailboxes[0]) is ReplicaState.PAUSED
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [3, 4, 4]


async def test_somebody_else_may_delete_what_is_paused() -> None:
    world, mailboxes = await synced(self_service=PAUSE)
    await want(world, mailboxes[0], "paused")
    await night(world)
    await world.define({"self_service": PAUSE, "targets": {"exclude": [mailboxes[0]]}})
    await night(world)
    assert served(world) == set(mailboxes[1:])
    assert await state(world, mailboxes[0]) is None


async def test_a_choice_that_is_not_allowed_any_more_is_not_heeded() -> None:
    world, mailboxes = await synced(self_service={"list": "opt_out", "pause": True})
    await want(world, mailboxes[0], "off")
    await want(world, mailboxes[1], "paused")
    await night(world)
    world.hire("New Colleague", mailbox="none")
    await world.define({})
    await night(world)
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [4, 4, 4]


async def test_declining_in_the_middle_of_a_removal_and_back_leaves_one_folder() -> None:
    world, mailboxes = await synced(self_service={"list": "opt_out", "pause": True})
    await want(world, mailboxes[0], "off")
    world.tenant.set_mailbox_state(mailboxes[0], "moving")
    world.clock.advance(timedelta(days=1))
    await world.run()
    assert await state(world, mailboxes[0]) is ReplicaState.LEAVING
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    await want(world, mailboxes[0], "paused")
    await night(world)
    assert len(world.names(mailboxes[0])) == 3
    await want(world, mailboxes[0], "on")
    await night(world)
    assert len(world.names(mailboxes[0])) == 3
    assert all(len(items) == 1 for items in world.ours(mailboxes[0]).values())


async def test_many_who_decline_do_not_look_like_a_source_that_broke() -> None:
    world, mailboxes = await synced(30, self_service=OPT_OUT)
    for mailbox in mailboxes[:20]:
        await want(world, mailbox, "off")
    await night(world)
    assert served(world) == set(mailboxes[20:])


async def test_a_preview_heeds_choices() -> None:
    world, mailboxes = await synced(4, self_service={"list": "opt_out", "pause": True})
    await want(world, mailboxes[0], "off")
    await want(world, mailboxes[1], "paused")

    async def outcomes() -> list[str]:
        shown = await preview(world.context, await load_sync(world.tables, TENANT, SYNC), Page(mailboxes))
        return [one.outcome for one in shown.mailboxes]

    assert await outcomes() == ["removed", "paused", "done", "done"]
    difference = (await preview(world.context, await load_sync(world.tables, TENANT, SYNC), Page())).difference
    assert difference is not None
    assert (difference.targets_added, difference.targets_removed) == (0, 1)
    await night(world)
    assert (await outcomes())[1:] == ["paused", "done", "done"]
    world.hire("New Colleague", mailbox="none")
    await night(world)
    assert await outcomes() == ["declined", "paused", "done", "done"]


async def test_only_what_the_definition_allows_can_be_chosen() -> None:
    world, mailboxes = await synced(self_service=OPT_OUT)
    with pytest.raises(InputError, match="on or off"):
        await want(world, mailboxes[0], "paused")
    stranger = world.hire("No Mailbox", mailbox="none")
    with pytest.raises(NotFoundError):
        await want(world, stranger, "off")
    await world.define({})
    with pytest.raises(InputError):
        await want(world, mailboxes[0], "off")


async def test_a_choice_leaves_the_rest_of_its_row_alone() -> None:
    world, mailboxes = await synced(self_service=OPT_OUT)
    where = f"{TENANT}:{SYNC}"
    await world.tables.commit("choices", where, [Insert(mailboxes[0], {"Other": "x"})])
    assert await load_choices(world.tables, TENANT, SYNC) == {}
    await want(world, mailboxes[0], "off")
    stored = await world.tables.get("choices", where, mailboxes[0])
    assert stored is not None
    assert stored.values == {"Other": "x", "Choice": "off"}


async def test_choices_end_with_the_sync() -> None:
    world, mailboxes = await synced(self_service=OPT_IN)
    await want(world, mailboxes[0], "on")
    await save_choice(world.tables, TENANT, SYNC, mailboxes[1], Choice.OFF)
    await night(world)
    await admin.delete_sync(world.context, TENANT, SYNC)
    await world.settle()
    assert await load_choices(world.tables, TENANT, SYNC) == {}
    assert served(world) == set()
    assert [await state(world, mailbox) for mailbox in mailboxes] == [None] * 3
