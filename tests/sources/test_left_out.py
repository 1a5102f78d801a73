"""People left out of a list: the members of groups, and in their own folder everybody themselves."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.definition import SyncDefinition, parse
from sync_core.engine.preview import Page, preview
from sync_core.errors import InputError
from sync_core.state.syncs import load_sync
from tests.engine.world import SYNC, TENANT
from tests.sources.lists import Lists


async def test_members_of_an_excluded_group_are_out_at_any_depth_and_whatever_includes_them() -> None:
    world = Lists()
    ann, ben = world.hire("Ann Excluded"), world.hire("Ben Nested")
    world.hire("Cleo Listed")
    inner = world.group("Inner", [ben])
    outer = world.group("Outer", [ann, inner])
    await world.set_up({"kind": "directory"})
    await world.good()
    assert world.listed() == ["Ann Excluded", "Ben Nested", "Cleo Listed", "Reader One"]

    await world.redefine(selection={"exclude_groups": [outer], "include": [ann]})
    run = await world.good()
    assert (run.counts.deleted, world.listed()) == (2, ["Cleo Listed", "Reader One"])
    assert await world.spent() == 2  # the directory and the group, nothing for the mailbox

    world.tenant.directory.leave(outer, [inner])
    await world.good()
    assert world.listed() == ["Ben Nested", "Cleo Listed", "Reader One"]


async def test_a_group_is_excluded_from_one_source_alone() -> None:
    world = Lists()
    ann = world.hire("Ann Excluded", department="Sales")
    world.hire("Cleo Listed")
    team = world.group("Team", [ann])
    await world.set_up({"kind": "directory", "selection": {"exclude_groups": [team]}}, {"kind": "orgContacts"})
    await world.good()
    assert world.listed() == ["Cleo Listed", "Reader One"]


async def test_an_excluded_merged_person_is_out() -> None:
    world = Lists()
    ann = world.hire("Ann Both", mail="ann@example.com")
    world.org_contact("Ann Both", mail="ann@example.com")
    await world.set_up({"kind": "orgContacts"}, {"kind": "directory"}, selection={"exclude_groups": [world.group("Team", [ann])]})
    await world.good()
    assert world.listed() == ["Reader One"]


async def test_organisation_contacts_in_an_excluded_group_are_out_at_any_depth() -> None:
    world = Lists()
    ann, desk, shop = world.hire("Ann Listed"), world.org_contact("Desk Nested"), world.org_contact("Shop Listed")
    inner = world.group("Inner", [desk])
    outer = world.group("Outer", [inner])
    await world.set_up({"kind": "orgContacts"}, {"kind": "directory"}, selection={"exclude_groups": [outer]})
    await world.good()
    assert world.listed() == ["Ann Listed", "Reader One", "Shop Listed"]

    world.tenant.directory.join(outer, [shop])
    world.tenant.directory.leave(inner, [desk])
    run = await world.good()
    assert (run.counts.created, run.counts.deleted, world.listed()) == (1, 1, ["Ann Listed", "Desk Nested", "Reader One"])
    assert await world.spent() == 3  # the directory, its contacts and the group

    # who is in the directory under the same address goes with the contact
    world.tenant.change_user(ann, {"mail": "shop.listed@partner.example"})
    await world.good()
    assert world.listed() == ["Desk Nested", "Reader One"]


async def test_organisation_contacts_in_a_group_are_neither_people_of_it_nor_targets() -> None:
    world = Lists()
    ann, desk = world.hire("Ann Member"), world.org_contact("Desk Member")
    team = world.group("Team", [ann, desk])
    await world.set_up({"kind": "group", "id": team}, targets={"include": {"groups": [team]}})
    run = await world.good()
    assert (run.targets, run.people, world.names(ann)) == (1, 1, ["Ann Member"])


async def test_an_excluded_group_that_is_gone_holds_the_run() -> None:
    world = Lists()
    ann = world.hire("Ann Excluded")
    team = world.group("Team", [ann])
    await world.set_up({"kind": "directory"}, selection={"exclude_groups": [team]})
    await world.good()
    world.tenant.directory.groups.remove(team)
    assert await world.held() == f"source_unreadable group-{team}: the group does not exist"
    assert world.listed() == ["Reader One"]


async def test_the_preview_says_how_many_a_group_keeps_out() -> None:
    world = Lists()
    team = world.group("Team", [world.hire("Ann Excluded"), world.hire("Ben Excluded")])
    await world.set_up({"kind": "directory"}, selection={"exclude_groups": [team]})
    found = await preview(world.context, await load_sync(world.tables, TENANT, SYNC), Page())
    assert [(line.words, line.lets_in) for line in found.lines if line.path == "selection.exclude_groups"] == [
        ("not in an excluded group", 1)
    ]


@pytest.mark.parametrize(
    ("selection", "field"),
    [({"exclude_groups": ["x"]}, "selection.exclude_groups.0"), ({"exclude_groups": 21 * [TENANT]}, "selection.exclude_groups")],
)
def test_what_is_no_list_of_groups_is_refused(selection: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(SyncDefinition, {"name": "People", "folder": "People", "selection": selection})
    assert caught.value.field == field


OWN = {"own_card": "leave_out", "targets": {"include": "all"}}


@pytest.mark.parametrize("folder", ["Colleagues", None])
async def test_nobody_finds_themselves_in_their_own_list(folder: str | None) -> None:
    world = Lists()
    ann = world.hire("Ann Other")
    await world.set_up({"kind": "directory"}, **OWN, folder=folder)
    run = await world.good()
    assert {mailbox: list(world.ours(mailbox)) for mailbox in (ann, world.reader)} == {
        ann: [f"u:{world.reader}"],
        world.reader: [f"u:{ann}"],
    }
    assert (run.counts.created, await world.spent()) == (2, 1)
    world.tenant.change_user(ann, {"jobTitle": "Boss"})
    run = await world.good()
    assert (run.counts.created, run.counts.updated) == (0, 1)


async def test_the_own_card_comes_and_goes_with_the_setting_and_with_merging() -> None:
    world = Lists()
    ann = world.hire("Ann Other", mail="ann@example.com")
    await world.set_up({"kind": "directory"}, {"kind": "orgContacts"}, targets={"include": "all"})
    await world.good()
    assert len(world.ours(ann)) == 2
    found = await preview(world.context, await load_sync(world.tables, TENANT, SYNC), Page())
    assert [(one.deleted, one.unchanged) for one in found.mailboxes] == [(0, 2), (0, 2)]
    await world.redefine(**OWN)
    found = await preview(world.context, await load_sync(world.tables, TENANT, SYNC), Page())
    assert [(one.deleted, one.unchanged) for one in found.mailboxes] == [(1, 1), (1, 1)]
    run = await world.good()
    assert (run.counts.deleted, list(world.ours(ann))) == (2, [f"u:{world.reader}"])
    world.org_contact("Ann Outside", mail="ann@example.com")
    await world.good()
    assert list(world.ours(ann)) == [f"u:{world.reader}"]
    assert "+" in next(key for key in world.ours(world.reader))
    world.pass_days(1)
    assert (await world.good()).counts.created == 0
    await world.redefine(own_card="show")
    await world.good()
    assert len(world.ours(ann)) == 2
