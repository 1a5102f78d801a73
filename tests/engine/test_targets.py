"""Whose mailboxes are served, what their folder is called, and what stays when they leave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest

from sync_core import marks
from sync_core.engine import admin
from sync_core.errors import NotFoundError, Reason
from sync_core.model import RunState
from sync_core.state.replicas import load_replica
from sync_core.state.syncs import load_sync
from tests.engine.oracle import our_folders
from tests.engine.world import INSTALLATION, SYNC, TENANT, World

NIGHT = timedelta(days=1)
MISSING = "00000000-0000-4000-8000-000000000000"


async def synced(people: int = 3, **definition: Any) -> tuple[World, list[str]]:
    world = World()
    mailboxes = world.hire_many(people)
    await world.connect(definition)
    await world.run()
    return world, mailboxes


def folder_names(world: World, mailbox: str) -> list[str]:
    return [folder.name for folder in our_folders(world.tenant, mailbox, INSTALLATION, SYNC)]


def served(world: World) -> set[str]:
    """Whose mailboxes hold a folder of ours."""
    return {mailbox for mailbox in world.tenant.mailboxes if folder_names(world, mailbox)}


def group(world: World, name: str, *members: str) -> str:
    """A new group; returns its id."""
    key = str(uuid5(NAMESPACE_OID, name))
    world.tenant.directory.groups.add({"id": key, "displayName": name})
    world.tenant.directory.join(key, members)
    return key


def is_marked(extended: dict[str, str]) -> bool:
    return marks.parse(extended.get(marks.KEY_PROPERTY, "")) is not None


# --- the folder's name -----------------------------------------------------------------------------------------------------


async def test_a_new_name_renames_the_folder_at_the_next_run_for_one_request() -> None:
    world, mailboxes = await synced()
    await world.define({"folder": "Team"})
    world.cloud.counters.reset()
    run = await world.run()
    assert [folder_names(world, mailbox) for mailbox in mailboxes] == [["Team"]] * 3
    assert [world.cloud.counters.mailboxes[mailbox] for mailbox in mailboxes] == [1, 1, 1]
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    await world.run()
    assert [world.cloud.counters.mailboxes[mailbox] for mailbox in mailboxes] == [1, 1, 1]


async def test_a_new_name_that_the_user_has_already_gets_a_number_and_keeps_it() -> None:
    world, mailboxes = await synced(1)
    box = world.tenant.mailbox(mailboxes[0])
    theirs = box.create_folder(box.contacts, "team")
    await world.define({"folder": "Team"})
    await world.run()
    assert folder_names(world, mailboxes[0]) == ["Team (2)"]
    assert (theirs.name, theirs.contacts, theirs.extended) == ("team", {}, {})
    await world.define({"folder": "Staff"})
    await world.run()
    await world.define({"folder": "Team"})
    await world.run()
    assert folder_names(world, mailboxes[0]) == ["Team (2)"]


async def test_the_users_name_for_the_folder_stands_until_the_definition_has_a_new_one() -> None:
    world, mailboxes = await synced(1)
    box, folder = world.tenant.mailbox(mailboxes[0]), world.tenant.folder(mailboxes[0], "Colleagues")
    box.rename_folder(folder, "Work")
    await world.define({"folder": "Colleagues", "brakes": {"percent": 50}})
    world.clock.advance(NIGHT)
    await world.run()
    assert folder_names(world, mailboxes[0]) == ["Work"]
    await world.context.purge(TENANT, None)
    await world.run()
    assert folder_names(world, mailboxes[0]) == ["Work"]
    await world.define({"folder": "Team"})
    await world.run()
    assert folder_names(world, mailboxes[0]) == ["Team"]
    assert len(world.ours(mailboxes[0])) == 1


async def test_a_nested_folder_is_renamed_where_it_is_and_a_lost_one_made_anew_under_the_new_name() -> None:
    world, mailboxes = await synced(2)
    box = world.tenant.mailbox(mailboxes[0])
    friends = box.create_folder(box.contacts, "Friends")
    box.create_folder(friends, "Team")
    box.move_folder(world.tenant.folder(mailboxes[0], "Colleagues"), friends)
    world.tenant.mailbox(mailboxes[1]).delete_folder(world.tenant.folder(mailboxes[1], "Colleagues"), permanently=True)
    await world.define({"folder": "Team"})
    await world.run()
    assert sorted(folder.name for folder in friends.children.values()) == ["Team", "Team (2)"]
    assert folder_names(world, mailboxes[1]) == ["Team"]
    assert [len(world.ours(mailbox)) for mailbox in mailboxes] == [2, 2]


# --- who is a target -------------------------------------------------------------------------------------------------------


async def test_groups_rules_and_people_are_targets_together() -> None:
    world = World()
    member, nested, ruled, named, other = world.hire_many(5)
    world.tenant.change_user(ruled, {"department": "Legal"})
    inner = group(world, "Inner", nested)
    outer = group(world, "Outer", member, inner)
    rule = {"attribute": "department", "operator": "is", "values": ["Legal"]}
    await world.connect({"targets": {"include": {"groups": [outer], "rule": rule, "mailboxes": [named]}}})
    run = await world.run()
    assert (run.targets, served(world)) == (4, {member, nested, ruled, named})
    world.tenant.change_user(other, {"department": "Legal"})
    world.tenant.change_user(ruled, {"department": "Sales"})
    run = await world.run()
    assert (run.outcomes, served(world)) == ({"done": 4, "removed": 1}, {member, nested, named, other})


async def test_whom_a_group_or_rule_excludes_is_no_target() -> None:
    world = World()
    member, ruled, rest = world.hire_many(3)
    world.tenant.change_user(ruled, {"department": "Legal"})
    team = group(world, "Not us", member)
    rule = {"attribute": "department", "operator": "is", "values": ["Legal"]}
    await world.connect({"targets": {"exclude": {"groups": [team], "rule": rule}}})
    await world.run()
    assert served(world) == {rest}
    world.tenant.directory.leave(team, [member])
    world.tenant.directory.join(team, [rest])
    await world.run()
    assert served(world) == {member}


async def test_a_target_group_that_does_not_exist_holds_the_run() -> None:
    world, mailboxes = await synced(2)
    await world.define({"targets": {"include": {"groups": [MISSING]}}})
    run = await world.run()
    assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_UNREADABLE)
    assert MISSING in run.detail
    assert served(world) == set(mailboxes)


async def test_a_quiet_night_costs_one_delta_request_for_the_group_and_nothing_per_mailbox() -> None:
    world = World()
    member, _ = world.hire_many(2)
    team = group(world, "Us", member)
    await world.connect({"targets": {"include": {"groups": [team]}}})
    await world.run()
    world.cloud.counters.reset()
    await world.run()
    assert sum(world.cloud.counters.templates.values()) == 2
    assert world.cloud.counters.mailboxes[member] == 0


# --- leaving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["Colleagues", None])
async def test_leavers_may_keep_their_contacts_as_their_own(folder: str | None) -> None:
    world, mailboxes = await synced(3, folder=folder)
    box = world.tenant.mailbox(mailboxes[0])
    kept = [contact for contact in box.items() if is_marked(contact.extended)]
    before = [(dict(contact.values), contact.folder) for contact in kept]
    await world.define({"folder": folder, "targets": {"exclude": [mailboxes[0]], "leavers": "keep"}})
    run = await world.run()
    assert (run.state, run.outcomes) == (RunState.SUCCEEDED, {"kept": 1})
    assert [(dict(contact.values), contact.folder) for contact in kept] == before
    assert not any(is_marked(contact.extended) for contact in kept)
    assert folder_names(world, mailboxes[0]) == []
    assert await load_replica(world.tables, TENANT, SYNC, mailboxes[0]) is None
    await world.define({"folder": folder})
    await world.run()
    assert len(world.ours(mailboxes[0])) == 3
    assert [(dict(contact.values), contact.folder) for contact in kept] == before


async def test_a_deleted_sync_may_leave_its_contacts_to_the_users() -> None:
    world, mailboxes = await synced()
    await world.context.purge(TENANT, None)
    await admin.delete_sync(world.context, TENANT, SYNC, keep_contacts=True)
    await world.settle()
    for mailbox in mailboxes:
        assert len(world.names(mailbox)) == 3
        assert (world.ours(mailbox), folder_names(world, mailbox)) == ({}, [])
    assert (await world.last_run()).outcomes == {"kept": 3}
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)
