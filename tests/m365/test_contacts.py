"""Contacts and their folders: ids, extended properties, names, limits, Deleted Items, delta queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from tests.m365.conftest import IMMUTABLE, KEY, World, refused

MARKED = {"singleValueExtendedProperties": [{"id": KEY, "value": "Mark"}]}
EXPAND = {"$expand": f"singleValueExtendedProperties($filter=id eq '{KEY}')"}


def any_mark(value: str, key: str = KEY) -> dict[str, str]:
    return {"$filter": f"singleValueExtendedProperties/Any(ep: ep/id eq '{key}' and ep/value eq '{value}')"}


# --- folders ---------------------------------------------------------------------------------------------------------


async def test_the_default_folder_is_not_listed_but_found_by_its_name(world: World) -> None:
    ours = await world.folder()
    listed = (await world.get(f"{world.me}/contactFolders"))["value"]
    assert [folder["id"] for folder in listed] == [ours]
    default = await world.get(f"{world.me}/contactFolders/contacts")
    assert default["id"] == listed[0]["parentFolderId"] != ours
    made = await world.post(f"{world.me}/contactFolders/{default['id']}/contacts", {"givenName": "A"})
    assert [contact["id"] for contact in (await world.get(f"{world.me}/contacts"))["value"]] == [made["id"]]


async def test_folders_nest_and_child_paths_are_checked(world: World) -> None:
    outer, other = await world.folder("Outer"), await world.folder("Other")
    inner = (await world.post(f"{world.me}/contactFolders/{outer}/childFolders", {"displayName": "Inner"}))["id"]
    assert [folder["displayName"] for folder in (await world.get(f"{world.me}/contactFolders"))["value"]] == ["Outer", "Other"]
    assert (await world.get(f"{world.me}/contactFolders/{outer}/childFolders"))["value"][0]["parentFolderId"] == outer
    path = f"{world.me}/contactFolders/{outer}/childFolders/{inner}/contacts"
    await world.post(path, {"givenName": "A"})
    assert len((await world.get(path))["value"]) == 1
    refused(await world.client.get(path.replace(outer, other)), 404, "ErrorItemNotFound")


async def test_two_folders_of_one_name_cannot_share_a_parent(world: World) -> None:
    ours = await world.folder("Ours")
    refused(await world.client.post(f"{world.me}/contactFolders", json={"displayName": "OURS"}), 409, "ErrorFolderExists")
    await world.post(f"{world.me}/contactFolders/{ours}/childFolders", {"displayName": "Ours"})
    await world.folder("Theirs")
    refused(
        await world.client.patch(f"{world.me}/contactFolders/{ours}", json={"displayName": "Theirs"}), 409, "ErrorFolderExists"
    )


async def test_a_deleted_folder_still_answers_by_id_under_deleted_items(world: World) -> None:
    ours = await world.folder()
    before = await world.get(f"{world.me}/contactFolders/{ours}")
    assert (await world.client.delete(f"{world.me}/contactFolders/{ours}")).status_code == 204
    after = await world.get(f"{world.me}/contactFolders/{ours}")
    assert after["parentFolderId"] != before["parentFolderId"]
    assert after["parentFolderId"] == world.tenant.folder(world.user, "deletedItems").id
    refused(await world.client.get(f"{world.me}/contactFolders/{after['parentFolderId']}"), 404, "ErrorItemNotFound")
    assert (await world.get(f"{world.me}/contactFolders"))["value"] == []
    assert await world.folder() != ours


async def test_permanent_delete_removes_a_folder_with_all_in_it(world: World) -> None:
    ours = await world.folder()
    contact = (await world.post(f"{world.me}/contactFolders/{ours}/contacts", {"givenName": "A"}))["id"]
    assert (await world.client.post(f"{world.me}/contactFolders/{ours}/permanentDelete")).status_code == 204
    refused(await world.client.get(f"{world.me}/contactFolders/{ours}"), 404, "ErrorItemNotFound")
    refused(await world.client.get(f"{world.me}/contacts/{contact}"), 404, "ErrorItemNotFound")
    assert world.tenant.contacts(world.user) == []


async def test_folders_carry_extended_properties(world: World) -> None:
    await world.folder("Plain")
    made = await world.post(f"{world.me}/contactFolders", {"displayName": "Marked", **MARKED})
    assert "singleValueExtendedProperties" not in made
    listed = (await world.get(f"{world.me}/contactFolders", params=EXPAND))["value"]
    assert [folder.get("singleValueExtendedProperties") for folder in listed] == [None, [{"id": KEY, "value": "Mark"}]]
    assert [
        folder["displayName"] for folder in (await world.get(f"{world.me}/contactFolders", params=any_mark("Mark")))["value"]
    ] == ["Marked"]


# --- ids -------------------------------------------------------------------------------------------------------------


async def test_immutable_ids_survive_a_move_and_others_do_not(world: World) -> None:
    lasting = (await world.post(f"{world.me}/contacts", {"givenName": "A"}, headers=IMMUTABLE))["id"]
    passing = (await world.get(f"{world.me}/contacts"))["value"][0]["id"]
    assert lasting != passing
    assert 140 < len(lasting) < 200
    assert (await world.get(f"{world.me}/contacts/{passing}", headers=IMMUTABLE))["id"] == lasting
    box = world.tenant.mailbox(world.user)
    box.move(box.find(lasting), box.create_folder(box.contacts, "Mine"))
    refused(await world.client.get(f"{world.me}/contacts/{passing}"), 404, "ErrorItemNotFound")
    assert (await world.get(f"{world.me}/contacts/{lasting}"))["id"] not in (passing, lasting)
    assert (await world.get(f"{world.me}/contacts/{lasting}", headers=IMMUTABLE))["id"] == lasting


async def test_a_mailbox_move_changes_item_ids_but_not_folder_ids(world: World) -> None:
    ours = await world.folder()
    old = (await world.post(f"{world.me}/contactFolders/{ours}/contacts", {"givenName": "A"}, headers=IMMUTABLE))["id"]
    world.tenant.change_item_ids(world.user)
    refused(await world.client.get(f"{world.me}/contacts/{old}"), 404, "ErrorItemNotFound")
    listed = (await world.get(f"{world.me}/contactFolders/{ours}/contacts", headers=IMMUTABLE))["value"]
    assert len(listed) == 1
    assert listed[0]["id"] != old
    assert world.service.faults.fired["newIds"] == 1


async def test_malformed_ids_are_told_from_unknown_ones(world: World) -> None:
    refused(await world.client.get(f"{world.me}/contacts/123"), 400, "ErrorInvalidIdMalformed")
    refused(await world.client.get(f"{world.me}/contactFolders/123"), 400, "ErrorInvalidIdMalformed")
    made = (await world.post(f"{world.me}/contacts", {"givenName": "A"}, headers=IMMUTABLE))["id"]
    refused(await world.client.get(f"/users/{world.people[1]}/contacts/{made}"), 404, "ErrorItemNotFound")


async def test_a_contact_is_not_found_under_another_folder(world: World) -> None:
    ours = await world.folder()
    made = (await world.post(f"{world.me}/contacts", {"givenName": "A"}))["id"]
    refused(await world.client.get(f"{world.me}/contactFolders/{ours}/contacts/{made}"), 404, "ErrorItemNotFound")
    assert (await world.client.get(f"{world.me}/contactFolders/contacts/contacts/{made}")).status_code == 200


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"shoeSize": 44},
        {"emailAddresses": [{"address": "a@b.example", "kind": "work"}]},
        {"businessAddress": {"town": "X"}},
        {"singleValueExtendedProperties": [{"id": KEY, "value": "x", "note": "y"}]},
        {"id": "x"},
        {"parentFolderId": "x"},
        {"changeKey": "x"},
        {"createdDateTime": "2020-01-01T00:00:00Z"},
        {"givenName": 5},
        {"givenName": ["A"]},
        {"businessPhones": "1"},
        {"businessPhones": [1]},
        {"homeAddress": "here"},
        {"birthday": "tomorrow"},
        {"transactionId": "x"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_bodies_that_say_what_graph_does_not_know_are_refused(world: World, body: dict[str, Any], method: str) -> None:
    made = (await world.post(f"{world.me}/contacts", {"givenName": "A"}))["id"]
    path = f"{world.me}/contacts" if method == "POST" else f"{world.me}/contacts/{made}"
    refused(await world.client.request(method, path, json={"surname": "B", **body}), 400, "RequestBodyRead")
    assert [contact.values.get("surname") for contact in world.tenant.contacts(world.user)] == [None]


async def test_a_refusal_names_the_property_and_its_type(world: World) -> None:
    answer = await world.client.post(f"{world.me}/contacts", json={"emailAddresses": [{"kind": "work"}]})
    assert "'kind'" in refused(answer, 400, "RequestBodyRead")["message"]


async def test_bodies_must_be_json_and_say_so(world: World) -> None:
    refused(
        await world.client.post(f"{world.me}/contacts", content=b"{", headers={"Content-Type": "application/json"}),
        400,
        "BadRequest",
    )
    assert (
        await world.client.post(f"{world.me}/contacts", content=b"{}", headers={"Content-Type": "text/plain"})
    ).status_code == 415
    refused(await world.client.post(f"{world.me}/contacts"), 400, "BadRequest")


@pytest.mark.parametrize(
    ("name", "entries", "limit"),
    [
        ("emailAddresses", [{"address": f"{n}@b.example"} for n in range(4)], 3),
        ("businessPhones", ["1", "2", "3"], 2),
        ("homePhones", ["1", "2", "3"], 2),
        ("imAddresses", ["1", "2", "3", "4"], 3),
    ],
)
async def test_lists_have_limits(world: World, name: str, entries: list[Any], limit: int) -> None:
    message = refused(await world.client.post(f"{world.me}/contacts", json={name: entries}), 400, "ErrorInvalidArgument")[
        "message"
    ]
    assert f"has {len(entries)} entries, that exceeds the max allowed value of {limit}" in message
    assert len((await world.post(f"{world.me}/contacts", {name: entries[:limit]}))[name]) == limit


async def test_an_answer_holds_the_whole_contact(world: World) -> None:
    made = await world.post(f"{world.me}/contacts", {"givenName": "A", "emailAddresses": [{"address": "a@b.example"}], **MARKED})
    assert made["emailAddresses"] == [{"address": "a@b.example", "name": "a@b.example"}]
    assert made["mobilePhone"] is None
    assert made["businessPhones"] == []
    assert made["homeAddress"] == {}
    assert "singleValueExtendedProperties" not in made
    assert made["@odata.etag"] == f'W/"{made["changeKey"]}"'


async def test_the_display_name_is_made_anew_unless_it_is_sent(world: World) -> None:
    made = await world.post(f"{world.me}/contacts", {"givenName": "Ann", "surname": "Lee", "displayName": "Annie"})
    path = f"{world.me}/contacts/{made['id']}"

    async def renamed(body: dict[str, Any]) -> str:
        return str((await world.client.patch(path, json=body)).json()["displayName"])

    assert made["displayName"] == "Annie"
    assert await renamed({"jobTitle": "Cook"}) == "Annie"
    assert await renamed({"surname": "Roe"}) == "Ann Roe"
    assert await renamed({"surname": "Poe", "displayName": "Annie P."}) == "Annie P."
    assert await renamed({"surname": "Poe"}) == "Annie P.", "nothing changed"


async def test_patch_clears_with_null_and_leaves_alone_what_is_not_named(world: World) -> None:
    body = {
        "displayName": "A",
        "mobilePhone": "1",
        "businessPhones": ["2"],
        "businessAddress": {"city": "X", "street": "Y"},
        "jobTitle": "Z",
    }
    made = await world.post(f"{world.me}/contacts", body)
    changes: dict[str, Any] = {"mobilePhone": None, "businessPhones": [], "businessAddress": {"city": None}}
    changed = (await world.client.patch(f"{world.me}/contacts/{made['id']}", json=changes)).json()
    assert (changed["mobilePhone"], changed["businessPhones"], changed["jobTitle"]) == (None, [], "Z")
    assert changed["businessAddress"] == {"city": None, "street": "Y"}
    assert changed["changeKey"] != made["changeKey"]


async def test_an_old_etag_is_refused(world: World) -> None:
    made = await world.post(f"{world.me}/contacts", {"givenName": "A"})
    path = f"{world.me}/contacts/{made['id']}"
    assert (await world.client.patch(path, json={"surname": "B"}, headers={"If-Match": made["@odata.etag"]})).status_code == 200
    refused(
        await world.client.patch(path, json={"surname": "C"}, headers={"If-Match": made["@odata.etag"]}),
        412,
        "ErrorIrresolvableConflict",
    )
    refused(await world.client.delete(path, headers={"If-Match": made["@odata.etag"]}), 412, "ErrorIrresolvableConflict")
    assert (await world.client.patch(path, json={"surname": "C"}, headers={"If-Match": "*"})).status_code == 200


async def test_change_keys_can_change_without_an_edit(world: World) -> None:
    ours = await world.folder()
    made = await world.post(f"{world.me}/contactFolders/{ours}/contacts", {"givenName": "A"})
    _, link = await world.changes(f"{world.me}/contactFolders/{ours}/contacts/delta")
    world.tenant.bump_change_keys(world.user)
    changes, _ = await world.changes(link)
    assert changes[0]["changeKey"] != made["changeKey"]
    assert changes[0]["givenName"] == "A"


# --- extended properties ---------------------------------------------------------------------------------------------


async def test_extended_properties_are_expanded_by_id_only(world: World) -> None:
    other = KEY.replace("TestKey", "Other")
    made = await world.post(f"{world.me}/contacts", MARKED)
    path = f"{world.me}/contacts/{made['id']}"
    both = {"$expand": f"singleValueExtendedProperties($filter=id eq '{KEY}' or id eq '{other}')", "$select": "id"}
    answer = await world.get(path, params=both)
    assert answer["singleValueExtendedProperties"] == [{"id": KEY, "value": "Mark"}]
    assert "givenName" not in answer
    await world.client.patch(path, json={"singleValueExtendedProperties": [{"id": other, "value": "2"}]})
    assert len((await world.get(path, params=both))["singleValueExtendedProperties"]) == 2
    case = {"$expand": f"singleValueExtendedProperties($filter=id eq '{KEY.replace('TestKey', 'testkey')}')"}
    assert "singleValueExtendedProperties" not in await world.get(path, params=case), "names keep their case"
    refused(await world.client.get(path, params={"$expand": "singleValueExtendedProperties"}), 400, "ErrorInvalidUrlQuery")
    refused(await world.client.get(path, params={"$expand": "photo"}), 400, "ErrorInvalidUrlQuery")


async def test_contacts_are_found_by_mark_without_regard_to_case(world: World) -> None:
    await world.post(f"{world.me}/contacts", {"givenName": "Marked", **MARKED})
    await world.post(f"{world.me}/contacts", {"givenName": "Plain"})

    async def found(filter_: dict[str, str]) -> list[str]:
        return [contact["givenName"] for contact in (await world.get(f"{world.me}/contacts", params=filter_))["value"]]

    assert await found(any_mark("Mark")) == ["Marked"]
    assert await found(any_mark("mARK")) == ["Marked"]
    assert await found(any_mark("Mar")) == []
    assert await found(any_mark("Mark", KEY.replace("66f5a359", "66F5A359"))) == ["Marked"]
    assert await found(any_mark("Mark", KEY.replace("TestKey", "Other"))) == []


@pytest.mark.parametrize("key", ["SourceKey", "String {123} Name X", "String {66f5a359-4659-4830-9070-00047ec6ac6e} Named X"])
async def test_ids_of_extended_properties_have_a_form(world: World, key: str) -> None:
    body = {"singleValueExtendedProperties": [{"id": key, "value": "x"}]}
    refused(await world.client.post(f"{world.me}/contacts", json=body), 400, "ErrorInvalidArgument")


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_lists_come_by_tens_and_page_by_skip(world: World) -> None:
    for n in range(12):
        await world.post(f"{world.me}/contacts", {"givenName": str(n)})
    page = await world.get(f"{world.me}/contacts?$select=givenName")
    assert len(page["value"]) == 10
    assert set(page["value"][0]) == {"@odata.etag", "id", "givenName"}
    rest = await world.get(page["@odata.nextLink"])
    assert [contact["givenName"] for contact in rest["value"]] == ["10", "11"]
    assert "@odata.nextLink" not in rest
    assert len((await world.get(f"{world.me}/contacts?$top=999"))["value"]) == 12
    assert len((await world.get(f"{world.me}/contacts", headers={"Prefer": "odata.maxpagesize=11"}))["value"]) == 11
    refused(await world.client.get(f"{world.me}/contacts?$top=1000"), 400, "BadRequest")
    refused(await world.client.get(f"{world.me}/contacts?$search=x"), 400, "BadRequest")
    refused(await world.client.get(f"{world.me}/contacts?$select=shoeSize"), 400, "BadRequest")


# --- Deleted Items ---------------------------------------------------------------------------------------------------


async def test_a_deleted_contact_still_answers_by_id_elsewhere(world: World) -> None:
    ours = await world.folder()
    made = await world.post(f"{world.me}/contactFolders/{ours}/contacts", {"givenName": "A", **MARKED}, headers=IMMUTABLE)
    assert (await world.client.delete(f"{world.me}/contactFolders/{ours}/contacts/{made['id']}")).status_code == 204
    after = await world.get(f"{world.me}/contacts/{made['id']}", params=EXPAND, headers=IMMUTABLE)
    assert after["parentFolderId"] == world.tenant.folder(world.user, "deletedItems").id
    assert after["singleValueExtendedProperties"][0]["value"] == "Mark"
    assert (await world.get(f"{world.me}/contactFolders/{ours}/contacts"))["value"] == []
    assert [contact.id for contact in world.tenant.deleted_contacts(world.user)] == [made["id"]]
    assert list(world.tenant.live_contacts(world.user)) == []
    assert (await world.client.delete(f"{world.me}/contacts/{made['id']}")).status_code == 204
    refused(await world.client.get(f"{world.me}/contacts/{made['id']}"), 404, "ErrorItemNotFound")


async def test_permanent_delete_leaves_nothing(world: World) -> None:
    made = await world.post(f"{world.me}/contacts", {"givenName": "A"})
    assert (await world.client.post(f"{world.me}/contacts/{made['id']}/permanentDelete")).status_code == 204
    assert world.tenant.contacts(world.user) == []
    refused(await world.client.delete(f"{world.me}/contacts/{made['id']}"), 404, "ErrorItemNotFound")


# --- delta -----------------------------------------------------------------------------------------------------------


async def test_a_folders_delta_tells_what_came_changed_and_left(world: World) -> None:
    ours = await world.folder()
    path = f"{world.me}/contactFolders/{ours}/contacts"
    made = [(await world.post(path, {"givenName": str(n)}, headers=IMMUTABLE))["id"] for n in range(4)]
    pages, link = await world.pages(
        f"{path}/delta?$select=givenName", headers={"Prefer": 'odata.maxpagesize=3, IdType="ImmutableId"'}
    )
    assert [[item["id"] for item in page] for page in pages] == [made[:3], made[3:]]
    assert set(pages[0][0]) == {"@odata.etag", "id", "givenName"}
    box = world.tenant.mailbox(world.user)
    box.change(box.find(made[0]), {"givenName": "edited"})
    box.move(box.find(made[1]), box.contacts)
    box.delete(box.find(made[2]))
    own = await world.post(path, {"givenName": "own write"}, headers=IMMUTABLE)
    changes, link = await world.changes(link, headers=IMMUTABLE)
    assert [(item["id"], item.get("givenName"), item.get("@removed")) for item in changes] == [
        (made[0], "edited", None),
        (made[1], None, {"reason": "deleted"}),
        (made[2], None, {"reason": "deleted"}),
        (own["id"], "own write", None),
    ]
    assert "surname" not in changes[0], "the selection is in the token"
    assert (await world.changes(link))[0] == []


async def test_a_removed_contact_is_told_under_the_id_it_had(world: World) -> None:
    path = f"{world.me}/contactFolders/{await world.folder()}/contacts"
    made = (await world.post(path, {"givenName": "A"}))["id"]
    _, link = await world.changes(f"{path}/delta")
    await world.client.delete(f"{path}/{made}")
    assert (await world.changes(link))[0][0]["id"] == made


async def test_delta_pages_hold_at_most_two_hundred(world: World) -> None:
    box = world.tenant.mailbox(world.user)
    for n in range(201):
        box.create(box.contacts, {"givenName": str(n)})
    pages, _ = await world.pages(
        f"{world.me}/contactFolders/contacts/contacts/delta", headers={"Prefer": "odata.maxpagesize=999"}
    )
    assert [len(page) for page in pages] == [200, 1]


async def test_expanding_in_a_delta_is_a_server_error(world: World) -> None:
    path = f"{world.me}/contactFolders/contacts/contacts/delta"
    assert (await world.client.get(path, params=EXPAND)).status_code == 500
    refused(await world.client.get(f"{path}?$filter=givenName eq 'A'"), 400, "BadRequest")


async def test_outlook_links_do_not_age_but_can_be_refused(world: World) -> None:
    _, link = await world.changes(f"{world.me}/contactFolders/contacts/contacts/delta")
    world.clock.advance(timedelta(seconds=60 * 86400))
    await world.sign_in()
    assert (await world.client.get(link)).status_code == 200
    world.service.faults.add(Fault(FaultKind.TOKEN_EXPIRED, times=1))
    refused(await world.client.get(link), 410, "SyncStateNotFound")


async def test_links_belong_to_one_folder(world: World) -> None:
    ours = await world.folder()
    _, link = await world.changes(f"{world.me}/contactFolders/contacts/contacts/delta")
    refused(await world.client.get(link.replace("contactFolders/contacts/", f"contactFolders/{ours}/")), 400, "BadRequest")


async def test_a_missed_contact_change(world: World) -> None:
    _, link = await world.changes(f"{world.me}/contactFolders/contacts/contacts/delta")
    world.service.faults.add(Fault(FaultKind.MISSED, times=1, object="contact", mailbox=world.user))
    await world.post(f"{world.me}/contacts", {"givenName": "A"})
    assert (await world.changes(link))[0] == []
    assert len((await world.get(f"{world.me}/contacts"))["value"]) == 1


# --- mailbox states --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("none", 404, "MailboxNotEnabledForRESTAPI"),
        ("onPremises", 404, "MailboxNotHostedInExchangeOnline"),
        ("outOfScope", 403, "ErrorAccessDenied"),
        ("moving", 503, "ErrorMailboxMoveInProgress"),
    ],
)
async def test_mailboxes_that_do_not_answer(world: World, state: str, status: int, code: str) -> None:
    world.tenant.set_mailbox_state(world.user, state)
    refused(await world.client.get(f"{world.me}/contacts"), status, code)
    assert (await world.client.get(world.me)).status_code == 200, "the directory knows nothing of it"
    world.tenant.set_mailbox_state(world.user, "ok")
    assert (await world.client.get(f"{world.me}/contacts")).status_code == 200


async def test_a_full_mailbox_takes_nothing_but_can_be_read_and_emptied(world: World) -> None:
    made = (await world.post(f"{world.me}/contacts", {"givenName": "A"}))["id"]
    world.tenant.set_mailbox_state(world.user, "full")
    refused(await world.client.post(f"{world.me}/contacts", json={"givenName": "B"}), 507, "ErrorQuotaExceeded")
    refused(await world.client.patch(f"{world.me}/contacts/{made}", json={"givenName": "B"}), 507, "ErrorQuotaExceeded")
    assert (await world.client.get(f"{world.me}/contacts/{made}")).status_code == 200
    assert (await world.client.delete(f"{world.me}/contacts/{made}")).status_code == 204


async def test_an_unknown_user_has_no_mailbox(world: World) -> None:
    refused(await world.client.get("/users/99999999-9999-9999-9999-999999999999/contacts"), 404, "ErrorInvalidUser")
    refused(await world.client.get("/users/99999999-9999-9999-9999-999999999999"), 404, "Request_ResourceNotFound")
