"""Privacy requests and the audit trail over HTTP."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import timedelta

import pytest

from api import surface
from api.principal import Role
from gdpr.erasure import OWN_ACTS
from gdpr.privacy_queue import look_after_requests
from sync_core.definition import TenantSettings
from sync_core.engine.admin import change_settings
from sync_core.notices import Kind as NoticeKind
from sync_core.notices import Notice
from sync_core.ports import Remove
from sync_core.state.names import AUDIT
from tests.api.bodies import NOBODY
from tests.api.client import Client
from tests.engine.world import TENANT, World
from tests.gdpr.privacy import everywhere

ANNA = "anna.berg@example.com"


@pytest.fixture
async def officer(world: World, monkeypatch: pytest.MonkeyPatch) -> Client:
    for name in ("Anna Berg", "Ben Ohm"):
        world.hire(name)
    await world.connect()
    await world.run()
    return Client(monkeypatch, world.context, roles=(Role.COMPLIANCE,))


def anna_of(world: World) -> str:
    return next(str(user["id"]) for user in world.tenant.directory.users.objects.values() if user["mail"] == ANNA)


async def actions(client: Client) -> list[str]:
    return [entry["action"] for entry in (await client("GET", "audit/entries")).json["items"]]


async def test_an_employee_asks_and_an_officer_looks_confirms_and_has_it_done(officer: Client, world: World) -> None:
    anna = replace(officer, roles=(), object_id=anna_of(world))
    asked = await anna("POST", "me/privacy/requests", {"kind": "erasure"})
    assert asked.status == 201
    request = asked.json["request"]
    assert asked.json["state"] == "received"
    assert asked.json["due_at"].startswith("2026-12-02")
    await world.settle()
    assert everywhere(world, "Anna"), "nothing happens before it is confirmed"
    assert (await anna("POST", f"privacy/requests/{request}/confirm", {"keys": []})).status == 403
    matches = (await officer("GET", f"privacy/requests/{request}/matches")).json["items"]
    assert matches == [
        {"key": f"u:{anna.object_id}", "name": "Anna Berg", "email": ANNA, "places": ["snapshot/people", "source/users"]}
    ]
    keys = [match["key"] for match in matches]
    assert (await officer("POST", f"privacy/requests/{request}/confirm", {"keys": keys})).status == 202
    await world.settle()
    done = (await officer("GET", f"privacy/requests/{request}")).json
    assert done["state"] == "done"
    assert done["counts"]["itemsRemoved"] == 2
    assert everywhere(world, "Anna") == []
    assert [one["state"] for one in (await anna("GET", "me/privacy/requests")).json["items"]] == ["done"]
    assert (await officer("POST", f"privacy/requests/{request}/lift")).json["state"] == "lifted"
    await world.run()
    assert everywhere(world, "Anna")
    wanted = ["own_request.made", "person.looked_up", "request.confirmed", "erasure.done", "suppression.lifted", "audit.read"]
    assert await actions(officer) == wanted


async def exported(world: World, officer: Client, request: str) -> str:
    """The request, confirmed and done."""
    keys = [match["key"] for match in (await officer("GET", f"privacy/requests/{request}/matches")).json["items"]]
    assert (await officer("POST", f"privacy/requests/{request}/confirm", {"keys": keys})).status == 202
    await world.settle()
    return request


async def test_an_export_is_fetched_by_who_asked_for_it_and_by_officers(officer: Client, world: World) -> None:
    anna = replace(officer, roles=(), object_id=anna_of(world))
    request = (await anna("POST", "me/privacy/requests", {"kind": "export"})).json["request"]
    assert (await anna("GET", f"me/privacy/requests/{request}/export")).status == 400
    await exported(world, officer, request)
    shown = (await anna("GET", f"me/privacy/requests/{request}/export")).json
    assert [part["part"] for part in shown["parts"]] == [1]
    assert shown["expires_at"].startswith("2026-11-09")
    fetched = await anna("GET", f"me/privacy/requests/{request}/export/1")
    assert (fetched.status, len(fetched.raw)) == (200, shown["parts"][0]["size"])
    with zipfile.ZipFile(io.BytesIO(fetched.raw)) as archive:
        assert b"Anna Berg" in archive.read("person.json")
        assert archive.namelist() == [*shown["parts"][0]["files"], "manifest.json"]
    assert (await officer("GET", f"privacy/requests/{request}/export/1")).raw == fetched.raw
    assert (await officer("GET", f"privacy/requests/{request}/export/2")).status == 404
    assert (await officer("GET", f"privacy/requests/{request}/export/0")).status == 400
    assert (await replace(anna, object_id=TENANT)("GET", f"me/privacy/requests/{request}/export")).status == 404
    assert (await anna("GET", f"privacy/requests/{request}/export/1")).status == 403
    told = await actions(officer)
    assert (told.count("export.fetched"), told.count("own_export.fetched")) == (1, 1)


async def test_what_an_officer_asked_for_about_others_takes_the_role_and_not_the_memory(officer: Client, world: World) -> None:
    request = (await officer("POST", "privacy/requests", {"kind": "export", "emails": [ANNA]})).json["request"]
    await exported(world, officer, request)
    assert (await officer("GET", f"privacy/requests/{request}/export/1")).status == 200
    former = replace(officer, roles=())
    for path in ("export", "export/1"):
        assert (await former("GET", f"me/privacy/requests/{request}/{path}")).status == 404
        assert (await former("GET", f"privacy/requests/{request}/{path}")).status == 403
        assert (await replace(officer, roles=(Role.ADMIN,))("GET", f"privacy/requests/{request}/{path}")).status == 403


async def test_scripts_fetch_what_they_asked_for_and_partners_nothing(officer: Client, world: World) -> None:
    robot = replace(officer, object_id="aaaaaaaa-0000-4000-8000-00000000000b", is_app=True)
    body = {"kind": "export", "emails": [ANNA]}
    theirs = await exported(world, officer, (await robot("POST", "privacy/requests", body)).json["request"])
    others = await exported(world, officer, (await officer("POST", "privacy/requests", body)).json["request"])
    for path in ("export", "export/1"):
        assert (await robot("GET", f"privacy/requests/{theirs}/{path}")).status == 200
        assert (await robot("GET", f"privacy/requests/{others}/{path}")).status == 404
        for caller in (officer, robot):
            partner = replace(caller, home="22222222-2222-4333-8444-555555555555")
            assert (await partner("GET", f"privacy/requests/{theirs}/{path}")).status == 403


async def test_refusing_extending_and_rectifying(officer: Client, world: World) -> None:
    body = {"kind": "erasure", "emails": [ANNA], "phones": ["+49 151 23456789"]}
    request = (await officer("POST", "privacy/requests", body)).json["request"]
    extended = (await officer("POST", f"privacy/requests/{request}/extend", {"reason": "Many mailboxes"})).json
    assert (extended["extended"], extended["due_at"][:10]) == (True, "2027-02-02")
    assert (await officer("POST", f"privacy/requests/{request}/extend", {"reason": "More"})).status == 400
    refused = (await officer("POST", f"privacy/requests/{request}/refuse", {"reason": "A contract needs it"})).json
    assert (refused["state"], refused["reason"]) == ("refused", "A contract needs it")
    assert (await officer("POST", f"privacy/requests/{request}/confirm", {})).status == 400
    fix = (await officer("POST", "privacy/requests", {"kind": "rectification", "emails": [ANNA]})).json["request"]
    assert "directory" in (await officer("POST", f"privacy/requests/{fix}/confirm", {})).json["errors"][0]["detail"]
    assert (await officer("POST", f"privacy/requests/{fix}/finish")).json["state"] == "done"


@pytest.mark.parametrize(
    "body", [{"kind": "erasure"}, {"kind": "export", "phones": ["call me"]}, {"kind": "burn", "emails": [ANNA]}]
)
async def test_a_request_names_a_person_and_what_is_asked_for(officer: Client, body: dict[str, object]) -> None:
    assert (await officer("POST", "privacy/requests", body)).status == 400


async def test_a_request_under_the_same_idempotency_key_is_made_once(officer: Client) -> None:
    body = {"kind": "objection", "emails": [ANNA]}
    first = await officer("POST", "privacy/requests", body, Idempotency_Key="one")
    again = await officer("POST", "privacy/requests", body, Idempotency_Key="one")
    assert first.json["request"] == again.json["request"]
    assert len((await officer("GET", "privacy/requests")).json["items"]) == 1
    other = await officer("POST", "privacy/requests", {**body, "kind": "erasure"}, Idempotency_Key="one")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    anna = replace(officer, roles=(), object_id=TENANT)
    mine = [await anna("POST", "me/privacy/requests", {"kind": "export"}, Idempotency_Key="one") for _ in range(2)]
    assert mine[0].json["request"] == mine[1].json["request"] != first.json["request"]


async def test_a_request_is_warned_of_before_it_is_due_and_again_when_extended(officer: Client, world: World) -> None:
    request = (await officer("POST", "privacy/requests", {"kind": "erasure", "emails": [ANNA]})).json["request"]
    done = (await officer("POST", "privacy/requests", {"kind": "rectification", "emails": [ANNA]})).json["request"]
    await officer("POST", f"privacy/requests/{done}/finish")
    told: list[Notice] = []

    async def notify(notice: Notice) -> None:
        told.append(notice)

    context = replace(world.context, notify=notify)

    async def warnings(*, days: int) -> int:
        world.clock.advance(timedelta(days=days))
        await look_after_requests(context, TENANT)
        assert (await actions(officer)).count("request.due_soon") == len(told)
        return len(told)

    assert [await warnings(days=days) for days in (20, 2, 2, 1)] == [0, 0, 1, 1]
    assert (await officer("POST", f"privacy/requests/{request}/extend", {"reason": "Many mailboxes"})).status == 200
    assert [await warnings(days=days) for days in (1, 50, 10, 1)] == [1, 1, 2, 2]
    assert {(notice.kind, notice.request) for notice in told} == {(NoticeKind.REQUEST_DUE, request)}
    assert len({notice.notice for notice in told}) == 2
    world.clock.advance(timedelta(days=30))
    late = await officer("POST", f"privacy/requests/{request}/extend", {"reason": "Later still"})
    assert "once" in late.json["errors"][0]["detail"]


async def test_a_request_that_is_due_is_not_extended(officer: Client, world: World) -> None:
    request = (await officer("POST", "privacy/requests", {"kind": "erasure", "emails": [ANNA]})).json["request"]
    world.clock.advance(timedelta(days=31))
    assert (await officer("POST", f"privacy/requests/{request}/extend", {"reason": "Too late"})).status == 400


async def test_the_trail_is_verified_and_exported(officer: Client, world: World) -> None:
    await officer("POST", "privacy/requests", {"kind": "objection", "emails": [ANNA]})
    verdict = (await officer("GET", "audit/verification")).json
    assert (verdict["sound"], verdict["entries"]) == (True, 1)
    known = f"audit/verification?sequence={verdict['last']}&hash={verdict['newest']}"
    exported = await officer("GET", "audit/export")
    assert len(exported.raw.splitlines()) == 3
    await world.tables.commit(AUDIT, TENANT, [Remove("e:000000000001")])
    verdict = (await officer("GET", known)).json
    assert verdict["faults"] == [{"sequence": 1, "kind": "missing", "detail": ""}]
    assert (await officer("GET", "audit/verification?sequence=1")).status == 400
    assert (await replace(officer, roles=(Role.VIEWER,))("GET", "audit/verification")).status == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "privacy/requests"),
        ("GET", "privacy/requests"),
        ("GET", "privacy/requests/0000000000000-00000000/matches"),
        ("POST", "privacy/requests/0000000000000-00000000/confirm"),
        ("POST", "privacy/requests/0000000000000-00000000/lift"),
        ("GET", "audit/entries"),
        ("GET", "audit/export"),
    ],
)
async def test_who_runs_the_syncs_decides_over_nobodys_rights(officer: Client, method: str, path: str) -> None:
    admin = replace(officer, roles=(Role.ADMIN, Role.VIEWER, Role.PUSH))
    answer = await admin(method, path, {"kind": "erasure", "emails": [ANNA]} if method == "POST" else None)
    assert (answer.status, answer.code) == (403, "missing_role")


async def test_with_four_eyes_another_person_confirms_than_made_the_request(officer: Client, world: World) -> None:
    await change_settings(world.context, TENANT, TenantSettings(four_eyes=True))
    body = {"kind": "objection", "emails": [ANNA]}
    confirm = f"privacy/requests/{(await officer('POST', 'privacy/requests', body)).json['request']}/confirm"
    assert "another person" in (await officer("POST", confirm, {})).json["errors"][0]["detail"]
    robot = replace(officer, object_id=TENANT, is_app=True)
    assert (await robot("POST", confirm, {})).status == 400
    assert (await replace(officer, object_id=TENANT)("POST", confirm, {})).status == 202
    alone = f"privacy/requests/{(await officer('POST', 'privacy/requests', body)).json['request']}/confirm"
    await change_settings(world.context, TENANT, TenantSettings())
    assert (await officer("POST", alone, {})).status == 202


async def test_an_officer_shreds_somebody_else_as_actor_and_the_trail_stays_sound(officer: Client, world: World) -> None:
    other = replace(officer, object_id=anna_of(world))
    body = {"kind": "objection", "emails": [ANNA]}
    for caller in (officer, other, replace(other, is_app=True), other):
        assert (await caller("POST", "privacy/requests", body)).status == 201
    refused = await officer("POST", "audit/shred", {"object_id": officer.object_id})
    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "object_id")
    partner = replace(officer, home="22222222-2222-4333-8444-555555555555")
    assert (await partner("POST", "audit/shred", {"object_id": other.object_id})).status == 403
    assert (await officer("POST", "audit/shred", {"object_id": other.object_id})).json == {"entries": 3}
    assert (await officer("GET", "audit/verification")).json["sound"]
    told = (await officer("GET", "audit/entries")).json["items"]
    assert [(entry["action"], (entry["actor"] or {}).get("id")) for entry in told] == [
        ("request.made", officer.object_id),
        *[("request.made", None)] * 3,
        ("actor.shredded", officer.object_id),
        ("audit.read", officer.object_id),
    ]
    assert other.object_id not in repr(told)
    assert (await replace(officer, roles=(Role.ADMIN,))("POST", "audit/shred", {"object_id": NOBODY})).status == 403


async def test_an_erasure_shreds_what_the_person_did_for_themselves_and_keeps_what_they_did_in_a_role(
    officer: Client, world: World
) -> None:
    anna = replace(officer, roles=(), object_id=anna_of(world))
    await replace(anna, roles=(Role.COMPLIANCE,))("POST", "privacy/requests", {"kind": "rectification", "emails": [ANNA]})
    assert (await anna("PUT", "me/fields", {"hidden": []})).status == 200
    request = (await anna("POST", "me/privacy/requests", {"kind": "erasure"})).json["request"]
    await exported(world, officer, request)
    assert (await officer("GET", f"privacy/requests/{request}")).json["counts"]["auditActors"] == 2
    told = {entry["action"]: entry["actor"] for entry in (await officer("GET", "audit/entries")).json["items"]}
    assert told["fields.hidden"] is told["own_request.made"] is None
    assert told["request.made"]["id"] == anna.object_id
    assert (await officer("GET", "audit/verification")).json["sound"]


def test_what_employees_do_for_themselves_is_told_apart() -> None:
    mine = {endpoint.audits for endpoint in surface.endpoints() if endpoint.route.startswith("me/") and endpoint.audits}
    assert mine | {"own_export.fetched"} == OWN_ACTS
    assert OWN_ACTS.isdisjoint(endpoint.audits for endpoint in surface.endpoints() if not endpoint.route.startswith("me/"))


async def test_keys_are_rotated_on_request(officer: Client, world: World) -> None:
    assert (await officer("POST", "privacy/keys/rotate")).status == 202
    assert (await officer("POST", "privacy/keys/rotate")).status == 400
    await world.settle()
    assert (await world.run()).counts.updated == 0
