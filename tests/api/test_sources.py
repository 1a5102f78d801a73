"""Uploads and pushed items over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.principal import Role
from sync_core.sources.files.reading import MOST_BYTES
from tests.api.client import Answer, Client
from tests.sources.lists import Lists


@pytest.fixture
def world() -> Lists:
    return Lists()


@pytest.fixture
async def admin(world: Lists, monkeypatch: pytest.MonkeyPatch) -> Client:
    await world.set_up({"kind": "file", "id": "partners"}, {"kind": "push", "id": "crm"})
    return Client(monkeypatch, world.context)


async def upload(admin: Client, body: bytes, *, kind: str = "text/csv", name: str = "partners") -> Answer:
    return await admin("PUT", f"uploads/{name}", body, kind=kind)


def item(name: str, **values: Any) -> dict[str, Any]:
    return {"displayName": name, "mail": f"{name.lower()}@x.example", **values}


async def test_a_file_is_uploaded_looked_at_synced_and_forgotten(admin: Client, world: Lists) -> None:
    filled = await upload(admin, b"Name,E-mail\nPaul,paul@x.example\n")
    assert (filled.status, filled.json["people"]) == (200, 1)
    assert filled.json["received_at"].startswith("2026-11-02")
    assert filled.json["expires_at"].startswith("2026-12-30")
    counts = {"photos": 0, "unreadable_photos": 0}
    assert (await admin("GET", "uploads/partners")).json | counts == filled.json
    await admin("PUT", "sources/crm/items", {"items": []})
    await world.good()
    assert world.listed() == ["Paul"]
    assert (await admin("DELETE", "uploads/partners")).status == 204
    assert (await admin("GET", "uploads/partners")).status == 404
    assert world.listed() == ["Paul"]


async def test_the_content_type_decides(admin: Client) -> None:
    card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Paul\r\nN:;Paul;;;\r\nEND:VCARD\r\n"
    assert (await upload(admin, card, kind="text/vcard; charset=utf-8")).json["people"] == 1
    assert (await upload(admin, card)).code == "invalid_file"
    assert (await upload(admin, card, kind="application/pdf")).code == "media_type"


async def test_all_that_is_wrong_is_listed_with_its_place(admin: Client) -> None:
    await upload(admin, b"Name,E-mail\nPaul,paul@x.example\n")
    answer = await upload(admin, b"Name,Company\nPaul,=1\nPia,ok,more\n")
    assert answer.status == 400
    assert answer.json["errors"] == [
        {"field": "row 2, column B", "detail": "begins like a formula"},
        {"field": "row 3, column C", "detail": "has no header"},
    ]
    assert (await admin("GET", "uploads/partners")).json["people"] == 1


async def test_what_is_too_large_is_not_read(admin: Client) -> None:
    assert (await upload(admin, b"x" * (MOST_BYTES + 1))).status == 413
    assert (await upload(admin, b"Name\nPaul\n", name="Partners")).status == 400


async def test_items_are_pushed_one_by_one_and_all_at_once(admin: Client, world: Lists) -> None:
    pusher = replace(admin, roles=(Role.PUSH,))
    await upload(admin, b"Name,E-mail\nPaul,paul@x.example\n")
    assert (await pusher("GET", "sources/crm")).status == 404
    everybody = {"items": [{"id": "1", **item("Ann")}, {"id": "2", **item("Bob")}]}
    filled = await pusher("PUT", "sources/crm/items", everybody)
    assert (filled.status, filled.json["people"]) == (200, 2)
    assert (await pusher("PUT", "sources/crm/items/3", item("Cyd"))).status == 204
    assert (await pusher("DELETE", "sources/crm/items/1")).status == 204
    assert (await pusher("DELETE", "sources/crm/items/none")).status == 204
    await world.good()
    assert world.listed() == ["Bob", "Cyd", "Paul"]
    now = await pusher("GET", "sources/crm")
    assert now.headers["etag"] != filled.headers["etag"]
    lost = await pusher("PUT", "sources/crm/items", everybody, If_Match=filled.headers["etag"])
    assert (lost.status, lost.code) == (412, "changed_meanwhile")
    assert (await pusher("PUT", "sources/crm/items", everybody, If_Match=now.headers["etag"])).status == 200
    assert (await pusher("GET", "syncs")).status == 403
    assert (await pusher("DELETE", "sources/crm")).status == 403
    assert (await admin("DELETE", "sources/crm")).status == 204


async def test_what_is_wrong_with_items_is_told_one_by_one(admin: Client) -> None:
    wrong = [item("Ann"), {"id": "2", **item("Bob", mail="no address")}, "text", {"id": "2", **item("Cyd", fax="1")}]
    answer = await admin("PUT", "sources/crm/items", {"items": wrong})
    assert (answer.status, answer.code) == (400, "invalid_items")
    assert [error["field"] for error in answer.json["errors"]] == ["items.0.id", "items.1.mail", "items.2", "items.3.fax"]
    one = await admin("PUT", "sources/crm/items/1", item("Ann", mail="no address", fax="1"))
    assert [error["field"] for error in one.json["errors"]] == ["mail", "fax"]
    assert (await admin("GET", "sources/crm")).status == 404
