"""Users, groups and organisation contacts: reading, paging, filters, delta queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from local.m365.delta import Expiry
from local.m365.faults import Fault, FaultKind
from tests.m365.conftest import World, refused

DELTA = "/users/delta?$select=displayName,mobilePhone,accountEnabled"


async def test_only_selected_properties_are_answered(world: World) -> None:
    user = await world.get(f"/users/{world.user}?$select=displayName,assignedPlans,proxyAddresses,department")
    user.pop("@odata.context")
    assert user.pop("assignedPlans")[0]["service"] == "exchange"
    assert user == {"id": world.user, "displayName": "Person 0", "proxyAddresses": [], "department": None}
    assert "accountEnabled" not in await world.get(f"/users/{world.user}"), "it is not in the default set"


async def test_a_user_is_found_by_id_and_by_name_but_not_when_deleted(world: World) -> None:
    assert (await world.get("/users/P1@contoso.example"))["id"] == world.people[1]
    world.tenant.remove_user(world.people[1])
    refused(await world.client.get("/users/p1@contoso.example"), 404, "Request_ResourceNotFound")
    refused(await world.client.get(f"/users/{world.people[1]}/contacts"), 404, "ErrorInvalidUser")


async def test_lists_page_by_an_opaque_token_that_keeps_the_options(world: World) -> None:
    page = await world.get("/users?$top=2&$select=id")
    found = [user["id"] for user in page["value"]]
    while "@odata.nextLink" in page:
        page = await world.get(page["@odata.nextLink"])
        assert all(set(user) == {"id"} for user in page["value"])
        found += [user["id"] for user in page["value"]]
    assert found == world.people
    refused(await world.client.get("/users?$top=1000"), 400, "BadRequest")
    refused(await world.client.get("/users?$skiptoken=made-up"), 400, "Directory_ExpiredPageToken")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("$select=shoeSize", "BadRequest"),
        ("$orderby=displayName", "BadRequest"),
        ("$colour=blue", "BadRequest"),
        ("$top=2&$top=3", "BadRequest"),
        ("$count=true", "Request_UnsupportedQuery"),
        ("$filter=displayName ne 'x'", "Request_UnsupportedQuery"),
        ("$filter=shoeSize eq 'x'", "BadRequest"),
        ("$filter=displayName eq", "BadRequest"),
    ],
)
async def test_options_graph_does_not_know_are_refused(world: World, query: str, code: str) -> None:
    refused(await world.client.get(f"/users?{query}"), 400, code)


async def test_sign_in_activity_needs_a_permission_of_its_own(world: World) -> None:
    refused(await world.client.get("/users?$select=id,signInActivity"), 403, "Authorization_RequestDenied")


async def test_filters(world: World) -> None:
    async def found(text: str) -> list[str]:
        answer = await world.get("/users", params={"$filter": text, "$select": "displayName"})
        return [user["displayName"] for user in answer["value"]]

    world.tenant.enable_user(world.people[4], enabled=False)
    assert await found("accountEnabled eq false") == ["Person 4"]
    assert await found("startswith(displayName,'person') and (mobilePhone eq '01' or mobilePhone eq '02')") == [
        "Person 1",
        "Person 2",
    ]
    assert await found(f"id in ('{world.people[3]}', '{world.people[0]}')") == ["Person 0", "Person 3"]


@pytest.mark.parametrize("path", ["/users/x/messages", "/users/x/mailFolders", "/me", "/sites", "/users/x/sendMail", "/nonsense"])
async def test_paths_outside_directory_and_contacts_are_refused_and_noted(world: World, path: str) -> None:
    refused(await world.client.get(path), 400, "BadRequest")
    assert world.service.counters.violations == [f"GET {path}"]


async def test_a_method_that_a_path_does_not_have_is_refused(world: World) -> None:
    assert (await world.client.delete("/users")).status_code == 405


# --- delta -----------------------------------------------------------------------------------------------------------


async def test_a_first_round_tells_everything_in_pages_and_the_next_one_only_changes(world: World) -> None:
    pages, link = await world.pages(DELTA)
    assert [len(page) for page in pages] == [3, 2]
    assert pages[0][0] == {"id": world.user, "displayName": "Person 0", "mobilePhone": "00", "accountEnabled": True}
    assert (await world.changes(link))[0] == []
    world.tenant.change_user(world.people[2], {"mobilePhone": None})
    world.tenant.change_user(world.people[3], {"department": "not selected"})
    world.tenant.enable_user(world.people[1], enabled=False)
    changes, link = await world.changes(link)
    assert changes == [
        {"id": world.people[2], "displayName": "Person 2", "mobilePhone": None, "accountEnabled": True},
        {"id": world.people[1], "displayName": "Person 1", "mobilePhone": "01", "accountEnabled": False},
    ]
    assert (await world.changes(link))[0] == []


async def test_return_minimal_tells_only_what_changed(world: World) -> None:
    minimal = {"Prefer": "return=minimal"}
    _, link = await world.changes(DELTA, headers=minimal)
    world.tenant.change_user(world.user, {"mobilePhone": "1"})
    assert (await world.changes(link, headers=minimal))[0] == [{"id": world.user, "mobilePhone": "1"}]


async def test_what_was_never_set_is_left_out_of_a_delta(world: World) -> None:
    changes, _ = await world.changes("/users/delta?$select=displayName,department")
    assert changes[0] == {"id": world.user, "displayName": "Person 0"}


@pytest.mark.parametrize("spelling", ["delta", "delta()", "microsoft.graph.delta()"])
async def test_delta_may_be_spelt_in_three_ways(world: World, spelling: str) -> None:
    assert len((await world.changes(f"/users/{spelling}?$select=id"))[0]) == 5


async def test_removed_restored_and_destroyed_users(world: World) -> None:
    _, link = await world.changes(DELTA)
    world.tenant.remove_user(world.people[1])
    world.tenant.remove_user(world.people[2], permanently=True)
    changes, link = await world.changes(link)
    assert changes == [
        {"id": world.people[1], "@removed": {"reason": "changed"}},
        {"id": world.people[2], "@removed": {"reason": "deleted"}},
    ]
    world.tenant.restore_user(world.people[1])
    changes, _ = await world.changes(link)
    assert [user["displayName"] for user in changes] == ["Person 1"]
    assert len((await world.changes(DELTA))[0]) == 4, "a first round has no removed objects"


async def test_who_leaves_during_the_first_round_is_told_at_its_end(world: World) -> None:
    page = await world.get(DELTA)
    world.tenant.remove_user(world.user)
    rest, _ = await world.changes(page["@odata.nextLink"])
    assert rest[-1] == {"id": world.user, "@removed": {"reason": "changed"}}


async def test_deltas_take_ids_to_filter_by_but_at_most_fifty(world: World) -> None:
    def ids(*keys: str) -> dict[str, str]:
        return {"$filter": " or ".join(f"id eq '{key}'" for key in keys)}

    first = await world.client.get("/users/delta", params=ids(world.people[1], world.people[4]))
    assert [user["id"] for user in first.json()["value"]] == [world.people[1], world.people[4]]
    world.tenant.change_user(world.people[0], {"displayName": "x"})
    world.tenant.change_user(world.people[4], {"displayName": "y"})
    changes, _ = await world.changes(first.json()["@odata.deltaLink"])
    assert [user["id"] for user in changes] == [world.people[4]]
    refused(await world.client.get("/users/delta", params=ids(*map(str, range(51)))), 400, "Request_UnsupportedQuery")


@pytest.mark.parametrize("option", ["$top=5", "$orderby=displayName", "$expand=manager", "$filter=displayName eq 'x'"])
async def test_options_a_delta_does_not_take(world: World, option: str) -> None:
    assert (await world.client.get(f"/users/delta?{option}")).status_code == 400
    assert (await world.client.get("/users/delta?$select=displayName,manager")).status_code == 200


async def test_a_link_of_seven_days_is_expired_and_the_location_starts_anew(world: World) -> None:
    _, link = await world.changes(DELTA)
    world.clock.advance(timedelta(seconds=7 * 86400))
    await world.sign_in()
    answer = await world.client.get(link)
    assert answer.status_code == 410
    changes, _ = await world.changes(answer.headers["Location"])
    assert changes[0] == {"id": world.user, "displayName": "Person 0", "mobilePhone": "00", "accountEnabled": True}


@pytest.mark.parametrize(
    ("style", "code"), [(Expiry.SYNC_STATE_NOT_FOUND, "SyncStateNotFound"), (Expiry.RESYNC_REQUIRED, "resyncRequired")]
)
async def test_a_link_can_be_refused_at_any_time(world: World, style: Expiry, code: str) -> None:
    _, link = await world.changes(DELTA)
    fault = world.service.faults.add(Fault(FaultKind.TOKEN_EXPIRED, times=1, style=style))
    refused(await world.client.get(link), 410, code)
    assert fault.fired == 1
    assert (await world.client.get(link)).status_code == 200


async def test_tokens_of_others_and_made_up_ones_are_refused(world: World) -> None:
    _, link = await world.changes(DELTA)
    refused(await world.client.get(link.replace("/users/", "/groups/")), 400, "BadRequest")
    refused(await world.client.get("/users/delta?$deltatoken=abc"), 400, "BadRequest")


async def test_pages_may_be_empty_objects_repeated_and_changes_replayed(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.EMPTY_PAGE, times=1))
    world.service.faults.add(Fault(FaultKind.REPEATED, times=1))
    pages, link = await world.pages(DELTA)
    assert [len(page) for page in pages] == [0, 4, 2]
    assert pages[1][0] == pages[1][-1]
    world.service.faults.add(Fault(FaultKind.REPLAYED, times=1))
    replayed, link = await world.changes(link)
    assert {user["id"] for user in replayed} == set(world.people)
    assert (await world.changes(link))[0] == []
    assert world.service.faults.fired == {"emptyPage": 1, "repeated": 1, "replayed": 1}


async def test_a_first_round_may_tell_of_what_was_removed_before(world: World) -> None:
    world.tenant.remove_user(world.user)
    world.service.faults.add(Fault(FaultKind.REMOVED_EARLY))
    everything, _ = await world.changes(DELTA)
    assert everything[-1] == {"id": world.user, "@removed": {"reason": "changed"}}
    assert len(everything) == 5


async def test_a_missed_change_shows_only_to_who_reads_everything(world: World) -> None:
    _, link = await world.changes(DELTA)
    world.service.faults.add(Fault(FaultKind.MISSED, times=2, object="user"))
    world.tenant.change_user(world.user, {"displayName": "Missed"})
    newcomer = world.tenant.add_user({"userPrincipalName": "new@contoso.example"})
    changes, _ = await world.changes(link)
    assert changes == []
    everything, _ = await world.changes(DELTA)
    assert everything[0]["displayName"] == "Missed"
    assert newcomer in {user["id"] for user in everything}


# --- groups and organisation contacts --------------------------------------------------------------------------------


def _group(world: World, key: str, members: list[str]) -> str:
    world.tenant.directory.groups.add({"id": key, "displayName": key})
    world.tenant.directory.join(key, members)
    return key


async def test_members_are_split_over_pages_and_told_by_turns(world: World) -> None:
    _group(world, "big", world.people)
    _group(world, "small", world.people[:1])
    pages, link = await world.pages("/groups/delta?$select=displayName,members")
    pieces = [[member["id"] for member in group["members@delta"]] for page in pages for group in page if group["id"] == "big"]
    assert pieces == [world.people[:2], world.people[2:4], world.people[4:]]
    assert [len([group for group in page if group["id"] == "big"]) for page in pages] == [1, 1, 1]
    world.tenant.directory.leave("big", [world.people[1]])
    changes, link = await world.changes(link)
    gone = {"@odata.type": "#microsoft.graph.user", "id": world.people[1], "@removed": {"reason": "deleted"}}
    assert changes == [{"id": "big", "displayName": "big", "members@delta": [gone]}]
    world.tenant.remove_user(world.people[2])
    assert (await world.changes(link))[0] == [], "the delta of groups says nothing of members who are deleted softly"
    assert len((await world.get("/groups/big/members"))["value"]) == 3


async def test_transitive_members_and_no_cast_of_them(world: World) -> None:
    _group(world, "inner", world.people[:2])
    _group(world, "outer", ["inner", world.people[1], world.people[3]])
    direct = (await world.get("/groups/outer/members?$select=id"))["value"]
    assert {member["@odata.type"] for member in direct} == {"#microsoft.graph.group", "#microsoft.graph.user"}
    inside = (await world.get("/groups/outer/transitiveMembers?$select=displayName"))["value"]
    assert sorted(member["displayName"] for member in inside) == ["Person 0", "Person 1", "Person 3", "inner"]
    # an advanced query, and one that Graph refuses for Microsoft 365 groups
    refused(await world.client.get("/groups/outer/transitiveMembers/microsoft.graph.group"), 400, "BadRequest")
    refused(await world.client.get("/groups/none/members"), 404, "Request_ResourceNotFound")


async def test_organisation_contacts_are_members_like_others(world: World) -> None:
    world.tenant.directory.org_contacts.add({"id": "c1", "displayName": "Supplier", "mail": "s@example.com"})
    _group(world, "inner", ["c1"])
    _group(world, "outer", ["inner", world.people[0]])
    contact = {"@odata.type": "#microsoft.graph.orgContact", "id": "c1"}
    assert (await world.get("/groups/inner/members?$select=id"))["value"] == [contact]
    assert contact in (await world.get("/groups/outer/transitiveMembers?$select=id"))["value"]
    changes, link = await world.changes("/groups/delta?$select=members")
    assert [group["members@delta"] for group in changes if group["id"] == "inner"] == [[contact]]
    world.tenant.directory.leave("inner", ["c1"])
    assert (await world.changes(link))[0] == [{"id": "inner", "members@delta": [{**contact, "@removed": {"reason": "deleted"}}]}]


async def test_organisation_contacts_have_lists_and_deltas(world: World) -> None:
    contacts = world.tenant.directory.org_contacts
    contacts.add(
        {"id": "c1", "displayName": "Supplier", "mail": "s@example.com", "phones": [{"type": "business", "number": "1"}]}
    )
    assert (await world.get("/contacts?$select=displayName,phones"))["value"][0]["phones"][0]["number"] == "1"
    _, link = await world.changes("/contacts/delta?$select=displayName")
    contacts.change("c1", {"displayName": "Supplier & Co"})
    changed: list[dict[str, Any]] = (await world.changes(link))[0]
    assert changed == [{"id": "c1", "displayName": "Supplier & Co"}]
    assert (await world.get("/contacts/c1"))["displayName"] == "Supplier & Co"


async def test_directory_requests_cost_units_and_too_many_are_throttled(world: World) -> None:
    answer = await world.client.get("/users")
    assert answer.headers["x-ms-resource-unit"] == "2"
    assert (await world.client.get("/users?$select=id&$top=5")).headers["x-ms-resource-unit"] == "1"
    limits = world.tenant.directory_limits[next(iter(world.tenant.directory_limits))]
    limits.level = 0.9 * 3500
    assert float((await world.client.get("/users")).headers["x-ms-throttle-limit-percentage"]) == pytest.approx(0.9, abs=0.01)
    limits.level = 3500
    throttled = await world.client.get("/users")
    assert throttled.status_code == 429
    world.clock.advance(timedelta(seconds=float(throttled.headers["Retry-After"])))
    assert (await world.client.get("/users")).status_code == 200
