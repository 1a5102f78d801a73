"""Definitions over HTTP: created, listed, read, replaced, patched, paused, deleted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gdpr.audit_trail import entries
from tests.api.client import Client
from tests.engine.world import SYNC, TENANT, World

DEFINITION = {"name": "Partners", "folder": "Partners", "schedule": {"kind": "manual"}}


async def create(admin: Client, sync: str = "partners", **values: Any) -> str:
    answer = await admin("POST", "syncs", {"sync": sync, "definition": {**DEFINITION, **values}})
    assert answer.status == 201, answer.raw
    assert answer.headers["location"] == f"/api/syncs/{sync}"
    return answer.headers["etag"]


async def test_a_sync_is_created_once(admin: Client) -> None:
    etag = await create(admin)
    read = await admin("GET", "syncs/partners")
    assert read.headers["etag"] == etag
    assert re.fullmatch(r'"[^"]+"', etag)
    assert read.json["definition"]["brakes"] == {"percent": 20, "at_least": 10}
    assert (read.json["active_run"], read.json["next_run"], read.json["paused"]) == (None, None, False)
    again = await admin("POST", "syncs", {"sync": "partners", "definition": DEFINITION})
    assert (again.status, again.code) == (409, "sync_exists")
    wrong = await admin("POST", "syncs", {"sync": "No Id", "definition": {**DEFINITION, "brakes": {"percent": 0}}})
    assert [error["field"] for error in wrong.json["errors"]] == ["sync", "definition.brakes.percent"]


async def test_a_lost_update_is_noticed(admin: Client) -> None:
    etag = await create(admin)
    first = await admin("PUT", "syncs/partners", {**DEFINITION, "name": "Mine"}, If_Match=etag)
    assert (first.status, first.json["definition"]["name"], first.json["revision"]) == (200, "Mine", 2)
    lost = await admin("PUT", "syncs/partners", {**DEFINITION, "name": "Yours"}, If_Match=etag)
    assert (lost.status, lost.code) == (412, "changed_meanwhile")
    assert (await admin("PATCH", "syncs/partners", {"name": "Yours"}, If_Match=etag)).status == 412
    assert (await admin("DELETE", "syncs/partners", If_Match=etag)).status == 412
    assert (await admin("PUT", "syncs/partners", DEFINITION)).status == 428
    assert (await admin("GET", "syncs/partners")).json["definition"]["name"] == "Mine"
    assert (await admin("PUT", "syncs/partners", {**DEFINITION, "name": "Any"}, If_Match="*")).status == 200


async def test_a_run_does_not_change_the_etag(admin: Client, world: World) -> None:
    before = (await admin("GET", f"syncs/{SYNC}")).headers["etag"]
    await world.run()
    assert (await admin("GET", f"syncs/{SYNC}")).headers["etag"] == before


async def test_a_patch_changes_what_it_names(admin: Client) -> None:
    etag = await create(admin, brakes={"percent": 50, "at_least": 5})
    patch = {"name": "New", "brakes": {"percent": 30, "at_least": None}, "purge_after_sync": True}
    answer = await admin("PATCH", "syncs/partners", patch, kind="application/merge-patch+json", If_Match=etag)
    assert answer.status == 200
    definition = answer.json["definition"]
    assert (definition["name"], definition["folder"], definition["purge_after_sync"]) == ("New", "Partners", True)
    assert definition["brakes"] == {"percent": 30, "at_least": 10}
    wrong = await admin("PATCH", "syncs/partners", {"brakes": {"percent": "x"}}, If_Match="*")
    assert (wrong.status, wrong.json["errors"][0]["field"]) == (400, "brakes.percent")
    assert (await admin("PATCH", "syncs/partners", [], If_Match="*")).status == 400


async def test_the_trail_has_what_changed(admin: Client) -> None:
    etag = await create(admin)
    await admin("PATCH", "syncs/partners", {"name": "New"}, If_Match=etag)
    await admin("PATCH", "syncs/partners", {"name": "Lost"}, If_Match=etag)
    await admin("DELETE", "syncs/partners?contacts=keep", If_Match="*")
    created, patched, deleted = [entry async for entry in entries(admin.context, TENANT)]
    assert [entry.action for entry in (created, patched, deleted)] == ["sync.created", "sync.patched", "sync.deleted"]
    assert patched.details == {"subject": "partners", "before": {"name": "Partners"}, "after": {"name": "New"}}


async def test_syncs_are_listed_in_pages(admin: Client) -> None:
    for name in ("a", "b", "c"):
        await create(admin, name)
    first = await admin("GET", "syncs?size=3")
    assert [sync["sync"] for sync in first.json["items"]] == ["a", "b", "c"]
    rest = await admin("GET", f"syncs?size=3&page={first.json['next']}")
    assert ([sync["sync"] for sync in rest.json["items"]], rest.json["next"]) == ([SYNC], None)


@pytest.mark.parametrize(
    "query", ["page=x", "page=%00", "page=Li4vLi4", f"page={'A' * 400}", "size=0", "size=201", "size=x", "page=w6k"]
)
async def test_pages_that_are_none(admin: Client, query: str) -> None:
    assert (await admin("GET", f"syncs?{query}")).status == 400
    assert (await admin("GET", f"runs?{query}")).status == 400


async def test_a_sync_is_paused_resumed_and_deleted(admin: Client, world: World) -> None:
    world.hire_many(1)
    await world.run()
    assert (await admin("POST", f"syncs/{SYNC}/pause")).json["paused"]
    assert not (await admin("POST", f"syncs/{SYNC}/resume")).json["paused"]
    assert (await admin("DELETE", f"syncs/{SYNC}?contacts=lose", If_Match="*")).status == 400
    gone = await admin("DELETE", f"syncs/{SYNC}", If_Match="*")
    assert (gone.status, gone.headers["location"]) == (202, f"/api/runs/{gone.json['run']}")
    await world.settle()
    assert (await admin("GET", f"syncs/{SYNC}")).status == 404
    assert (await admin("GET", f"runs/{gone.json['run']}")).json["state"] == "succeeded"
