"""What employees see and decide of their own mailbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.principal import Role
from gdpr.audit_trail import entries
from sync_core.definition import TenantSettings
from sync_core.engine import admin
from sync_core.hiding import CardField
from tests.api.client import Client
from tests.engine.world import SYNC, TENANT, World

BOTH = {"list": "opt_out", "pause": True}


@pytest.fixture
async def world() -> World:
    world = World()
    world.hire_many(3)
    await world.connect({"self_service": BOTH})
    await world.run()
    return world


def employee(world: World, monkeypatch: pytest.MonkeyPatch, number: int = 0, **caller: Any) -> Client:
    person = sorted(world.tenant.mailboxes)[number]
    return Client(monkeypatch, world.context, roles=(), object_id=person, **caller)


async def test_employees_see_who_they_are_and_which_lists_reach_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = employee(world, monkeypatch)
    assert (await ask("GET", "me")).json == {"tenant": TENANT, "person": ask.object_id, "roles": []}
    assert (await ask("GET", "me/lists")).json == {
        "items": [
            {
                "sync": SYNC,
                "name": "People",
                "folder": "Colleagues",
                "choice": "on",
                "choices": ["on", "paused", "off"],
                "state": "active",
                "reason": None,
                "off_keeps": False,
            }
        ],
        "next": None,
    }


async def test_a_choice_is_kept_and_heeded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = employee(world, monkeypatch)
    chosen = await ask("PUT", f"me/lists/{SYNC}", {"choice": "off"})
    assert (chosen.status, chosen.json["choice"], chosen.json["state"]) == (200, "off", "active")
    await world.run()
    (mine,) = (await ask("GET", "me/lists")).json["items"]
    assert (mine["choice"], mine["state"]) == ("off", None)
    (theirs,) = (await employee(world, monkeypatch, 1)("GET", "me/lists")).json["items"]
    assert (theirs["choice"], theirs["state"]) == ("on", "active")


async def test_what_is_not_theirs_to_choose_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.define({"self_service": {"list": "opt_out"}})
    ask = employee(world, monkeypatch)
    refused = await ask("PUT", f"me/lists/{SYNC}", {"choice": "paused"})
    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "choice")
    assert (await ask("PUT", f"me/lists/{SYNC}", {"choice": "away"})).status == 400
    assert (await ask("PUT", f"me/lists/{SYNC}", {"choice": "off", "person": "x"})).status == 400
    assert (await ask("PUT", "me/lists/others", {"choice": "off"})).status == 404


async def test_lists_of_others_and_of_other_tenants_do_not_exist(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Client(monkeypatch, world.context, roles=(), object_id="aaaaaaaa-0000-4000-8000-00000000000f")
    assert (await stranger("GET", "me/lists")).json["items"] == []
    assert (await stranger("GET", "me/cards")).json["items"] == []
    assert (await stranger("PUT", f"me/lists/{SYNC}", {"choice": "off"})).status == 404
    other = "11111111-2222-4333-8444-000000000000"
    await admin.connect_tenant(world.context, other, TenantSettings())
    elsewhere = employee(world, monkeypatch, tenant=other)
    assert (await elsewhere("GET", "me/lists")).json["items"] == []
    assert (await elsewhere("PUT", f"me/lists/{SYNC}", {"choice": "off"})).status == 404


async def test_scripts_and_partners_have_no_mailbox(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Client(monkeypatch, world.context, roles=(Role.ADMIN,), is_app=True)
    partner = employee(world, monkeypatch, home="11111111-2222-4333-8444-000000000000")
    for ask in (script, partner):
        for method, path, body in (
            ("GET", "me", None),
            ("GET", "me/lists", None),
            ("PUT", f"me/lists/{SYNC}", {"choice": "off"}),
        ):
            answer = await ask(method, path, body)
            assert (answer.status, answer.code) == (403, "person_required")


async def test_fields_are_hidden_that_the_administrator_allows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = employee(world, monkeypatch)
    assert (await ask("GET", "me/fields")).json == {"hideable": [], "hidden": []}
    refused = await ask("PUT", "me/fields", {"hidden": ["mobilePhone"]})
    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "hidden")
    await admin.change_settings(world.context, TENANT, TenantSettings(hideable=(CardField.PHOTO, CardField.MOBILE_PHONE)))
    assert (await ask("GET", "me/fields")).json == {"hideable": ["mobilePhone", "photo"], "hidden": []}
    shown = (await ask("PUT", "me/fields", {"hidden": ["mobilePhone"]})).json
    assert shown == (await ask("GET", "me/fields")).json == {"hideable": ["mobilePhone", "photo"], "hidden": ["mobilePhone"]}
    assert (await ask("PUT", "me/fields", {"hidden": ["shoeSize"]})).status == 400
    assert (await replace(ask, object_id="aaaaaaaa-0000-4000-8000-00000000000f")("GET", "me/fields")).json["hidden"] == []
    await world.run()
    (card,) = (await ask("GET", "me/cards")).json["items"]
    assert "mobilePhone" not in card["contact"]
    changes = [entry async for entry in entries(world.context, TENANT) if entry.action == "fields.hidden"]
    assert [change.details for change in changes] == [
        {"subject": "", "before": {"hidden": []}, "after": {"hidden": ["mobilePhone"]}}
    ]


async def test_the_card_is_what_others_see(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = employee(world, monkeypatch)
    (card,) = (await ask("GET", "me/cards")).json["items"]
    user = world.tenant.directory.user(ask.object_id)
    assert user is not None
    assert (card["sync"], card["contact"]["displayName"], card["contact"]["department"]) == (SYNC, user["displayName"], "Sales")
    assert card["contact"]["emailAddresses"][0]["address"] == user["mail"]
    assert "singleValueExtendedProperties" not in card["contact"]
    await world.context.purge(TENANT, None)
    assert (await ask("GET", "me/cards")).json["items"] == []
