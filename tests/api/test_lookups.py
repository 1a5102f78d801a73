"""What there is to choose from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_core.marks import KEY_PROPERTY
from tests.api.client import Client
from tests.sources.lists import Lists


@pytest.fixture
def world() -> Lists:
    return Lists()


async def search(admin: Client, kind: str, text: str, **more: Any) -> list[str]:
    answer = await admin("POST", "directory/search", {"kind": kind, "starts_with": text, **more})
    assert answer.status == 200, answer.raw
    return [one["name"] for one in answer.json["items"]]


async def test_people_groups_and_shared_mailboxes_are_found(admin: Client, world: Lists) -> None:
    world.hire("Ann O'Neill")
    world.hire("Anna Bell")
    world.group("Annual report")
    world.shared_mailbox("Announcements")
    assert sorted(await search(admin, "people", "ann")) == ["Ann O'Neill", "Anna Bell", "Announcements"]
    assert await search(admin, "people", "O'Ne") == ["Ann O'Neill"]
    assert await search(admin, "people", "anna.bell@") == ["Anna Bell"]
    assert len(await search(admin, "people", "ann", most=2)) == 2
    assert await search(admin, "groups", "ANN") == ["Annual report"]
    assert await search(admin, "shared_mailboxes", "ann") == ["Announcements"]
    assert await search(admin, "people", "') or startswith(displayName,'") == []
    for wrong in ({"kind": "people", "starts_with": " "}, {"kind": "all", "starts_with": "x"}, {"kind": "people"}):
        assert (await admin("POST", "directory/search", wrong)).status == 400


async def test_folders_and_calendars_are_listed_but_for_ours(admin: Client, world: Lists) -> None:
    shared = world.shared_mailbox("Suppliers")
    world.keep(shared, "Steel", "Stan Steel")
    box = world.tenant.mailbox(shared)
    ours = box.create_folder(box.contacts, "Ours")
    ours.extended[KEY_PROPERTY] = "installation-one/people"
    folders = (await admin("GET", f"directory/mailboxes/{shared}/folders")).json["items"]
    assert [one["name"] for one in folders] == ["Steel"]
    calendars = (await admin("GET", f"directory/mailboxes/{shared}/calendars")).json["items"]
    assert len(calendars) >= 1


async def test_what_we_may_not_read_is_said(admin: Client, world: Lists) -> None:
    shared = world.shared_mailbox("Suppliers")
    world.tenant.set_mailbox_state(shared, "outOfScope")
    answer = await admin("GET", f"directory/mailboxes/{shared}/folders")
    assert (answer.status, answer.code) == (409, "mailbox_unreachable")
    assert "out_of_scope" in answer.json["detail"]
    nobody = await admin("GET", "directory/mailboxes/00000000-0000-4000-8000-00000000000f/folders")
    assert (nobody.status, nobody.code) == (404, "not_found")
    world.tenant.app.permissions = frozenset()
    newcomer = replace(admin, context=world.worker("without a token yet"))
    refused = await newcomer("POST", "directory/search", {"kind": "people", "starts_with": "x"})
    assert (refused.status, refused.code) == (409, "tenant_stopped")
    assert "consent_missing" in refused.json["detail"]
