"""Members of a group as a source."""

from __future__ import annotations

from local.m365.faults import Fault, FaultKind
from tests.sources.lists import Lists


async def team(world: Lists, members: int = 3) -> str:
    people = [world.hire(f"Member {number}") for number in range(members)]
    group = world.group("Team", people)
    await world.set_up({"kind": "group", "id": group})
    return group


async def test_the_members_are_listed_and_nobody_else() -> None:
    world = Lists()
    await team(world)
    await world.good()
    assert world.listed() == ["Member 0", "Member 1", "Member 2"]


async def test_who_joins_comes_and_who_leaves_goes() -> None:
    world = Lists()
    group = await team(world)
    await world.good()
    world.tenant.directory.join(group, [world.hire("Newcomer One")])
    (gone,) = (key for key, user in world.tenant.directory.users.objects.items() if user["displayName"] == "Member 1")
    world.tenant.directory.leave(group, [gone])
    run = await world.good()
    assert world.listed() == ["Member 0", "Member 2", "Newcomer One"]
    assert (run.counts.created, run.counts.deleted) == (1, 1)


async def test_a_members_attributes_follow_the_directory() -> None:
    world = Lists()
    await team(world)
    await world.good()
    (member,) = (key for key, user in world.tenant.directory.users.objects.items() if user["displayName"] == "Member 1")
    world.tenant.change_user(member, {"department": "Research"})
    await world.good()
    assert world.values("Member 1")["department"] == "Research"


async def test_groups_in_the_group_count_at_any_depth_even_in_a_circle() -> None:
    world = Lists()
    inner = world.group("Inner", [world.hire("Deep One")])
    middle = world.group("Middle", [world.hire("Middle One"), inner])
    outer = world.group("Outer", [world.hire("Outer One"), middle])
    world.tenant.directory.join(inner, [outer])
    await world.set_up({"kind": "group", "id": outer})
    await world.good()
    assert world.listed() == ["Deep One", "Middle One", "Outer One"]
    world.tenant.directory.join(inner, [world.hire("Deep Two")])
    await world.good()
    assert world.listed() == ["Deep One", "Deep Two", "Middle One", "Outer One"]
    assert await world.spent() == 2  # users, and all groups in one request


async def test_a_group_that_joins_brings_its_members_and_takes_them_along_when_it_leaves() -> None:
    world = Lists()
    group = await team(world)
    await world.good()
    guests = world.group("Others", [world.hire("Other One")])
    world.tenant.directory.join(group, [guests])
    await world.good()
    assert "Other One" in world.listed()
    world.tenant.directory.join(guests, [world.hire("Other Two")])
    await world.good()
    assert "Other Two" in world.listed()
    world.tenant.directory.groups.remove(guests)
    await world.good()
    assert world.listed() == ["Member 0", "Member 1", "Member 2"]
    world.tenant.directory.groups.restore(guests)
    await world.good()
    assert "Other Two" in world.listed()


async def test_members_come_in_pieces() -> None:
    world = Lists()
    world.cloud.settings.members_page = 4
    await team(world, 11)
    await world.good()
    assert len(world.listed()) == 11


async def test_a_member_whose_account_was_deleted_softly_is_gone() -> None:
    world = Lists()
    await team(world)
    await world.good()
    (gone,) = (key for key, user in world.tenant.directory.users.objects.items() if user["displayName"] == "Member 1")
    world.tenant.remove_user(gone)
    await world.good()
    assert world.listed() == ["Member 0", "Member 2"]
    world.tenant.restore_user(gone)
    await world.good()
    assert world.listed() == ["Member 0", "Member 1", "Member 2"]


async def test_nothing_changed_costs_one_request_for_each_source() -> None:
    world = Lists()
    await team(world)
    await world.good()
    assert await world.spent() == 2


async def test_fifty_groups_are_watched_with_one_request() -> None:
    world = Lists()
    inner = [world.group(f"Inner {number}", [world.hire(f"Member {number}")]) for number in range(60)]
    await world.set_up({"kind": "group", "id": world.group("Outer", inner)})
    await world.good()
    assert len(world.listed()) == 60
    assert await world.spent() == 3  # users, and sixty-one groups


async def test_what_a_delta_missed_comes_with_the_weekly_full_read() -> None:
    world = Lists()
    group = await team(world)
    await world.good()
    world.cloud.faults.add(Fault(FaultKind.MISSED, times=1))
    world.tenant.directory.join(group, [world.hire("Newcomer One"), world.hire("Newcomer Two")])
    await world.good()
    assert "Newcomer One" not in world.listed()
    world.pass_days(7)
    await world.good()
    assert "Newcomer One" in world.listed()
    assert "Newcomer Two" in world.listed()


async def test_an_expired_link_is_no_trouble() -> None:
    world = Lists()
    group = await team(world)
    await world.good()
    world.tenant.directory.join(group, [world.hire("Newcomer One")])
    world.cloud.faults.add(Fault(FaultKind.TOKEN_EXPIRED, times=2))
    await world.good()
    assert len(world.listed()) == 4


async def test_a_group_that_is_deleted_holds_every_run_until_it_is_back() -> None:
    world = Lists()
    group = await team(world)
    await world.good()
    world.tenant.directory.groups.remove(group)
    for _ in range(3):
        assert await world.held() == f"source_unreadable group-{group}: the group does not exist"
    world.pass_days(8)
    assert "source_unreadable" in await world.held()
    world.tenant.directory.groups.restore(group)
    await world.good()
    assert world.listed() == ["Member 0", "Member 1", "Member 2"]


async def test_a_group_nobody_knows_holds_the_first_run() -> None:
    world = Lists()
    group = "aaaaaaaa-0000-4000-8000-00000000000a"
    await world.set_up({"kind": "group", "id": group})
    assert await world.held() == f"source_unreadable group-{group}: Request_ResourceNotFound"


async def test_without_the_permission_the_run_holds_and_names_the_source() -> None:
    world = Lists()
    world.tenant.app.permissions -= {"GroupMember.Read.All"}
    group = await team(world)
    assert f"source_unreadable group-{group}: consent_missing" in await world.held()


async def test_a_group_that_loses_most_members_holds() -> None:
    world = Lists()
    group = await team(world, 12)
    await world.good()
    world.tenant.directory.leave(group, list(world.tenant.directory.members(group))[:5])
    assert await world.held() == "source_dropped 12 -> 7"


async def test_two_syncs_share_what_was_read() -> None:
    world = Lists()
    await team(world)
    await world.good()
    await world.define({**world.definition, "folder": "Second"}, sync="second")
    before = world.cloud.counters.templates.copy()
    await world.run(sync="second")
    assert world.names(world.reader, "Second") == world.listed()
    asked = world.cloud.counters.templates - before
    assert (asked["GET /groups/delta"], asked["GET /users/delta"]) == (1, 1)
