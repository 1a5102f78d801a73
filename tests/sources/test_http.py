"""Uploads over HTTP."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

import api.sources
from sync_core.sources.files.reading import MOST_BYTES
from tests.engine.world import TENANT
from tests.sources.lists import Lists


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> Lists:
    world = Lists()
    await world.set_up({"kind": "file", "id": "partners"})
    monkeypatch.setattr(api.sources, "context", lambda: world.context)
    return world


async def call(method: str, body: bytes = b"", *, kind: str = "text/csv", source: str = "partners", tenant: str = TENANT) -> Any:
    """Status and JSON of an answer."""
    endpoint: Any = getattr(api.sources, f"{method.lower()}_source")
    route = {"tenant": tenant, "source": source}
    request = func.HttpRequest(method=method, url="/", headers={"Content-Type": kind}, route_params=route, body=body)
    response = await endpoint._function.get_user_function()(request)
    return response.status_code, json.loads(response.get_body())


async def test_a_file_is_uploaded_looked_at_synced_and_forgotten(world: Lists) -> None:
    status, filled = await call("PUT", b"Name,E-mail\nPaul,paul@x.example\n")
    assert (status, filled["people"]) == (200, 1)
    assert filled["received_at"].startswith("2026-11-02")
    assert filled["expires_at"].startswith("2026-12-30")
    assert await call("GET") == (200, filled)
    await world.good()
    assert world.listed() == ["Paul"]
    assert (await call("DELETE"))[0] == 200
    assert (await call("GET"))[0] == 404
    assert world.listed() == ["Paul"]


async def test_the_content_type_decides(world: Lists) -> None:
    card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Paul\r\nN:;Paul;;;\r\nEND:VCARD\r\n"
    assert (await call("PUT", card, kind="text/vcard; charset=utf-8"))[1]["people"] == 1
    status, problem = await call("PUT", card)
    assert (status, problem["code"]) == (400, "invalid_file")
    assert (await call("PUT", card, kind="application/pdf"))[1]["errors"] == [
        {"field": "Content-Type", "detail": "must be text/csv or text/vcard"}
    ]


async def test_all_that_is_wrong_is_listed_with_its_place(world: Lists) -> None:
    await call("PUT", b"Name,E-mail\nPaul,paul@x.example\n")
    status, problem = await call("PUT", b"Name,Company\nPaul,=1\nPia,ok,more\n")
    assert status == 400
    assert problem["errors"] == [
        {"field": "row 2, column B", "detail": "begins like a formula"},
        {"field": "row 3, column C", "detail": "has no header"},
    ]
    assert (await call("GET"))[1]["people"] == 1


async def test_what_is_too_large_is_not_read(world: Lists) -> None:
    assert (await call("PUT", b"x" * (MOST_BYTES + 1)))[0] == 413


@pytest.mark.parametrize(
    ("route", "status"), [({"source": "Partners"}, 400), ({"tenant": "22222222-2222-4333-8444-555555555555"}, 404)]
)
async def test_wrong_names_are_refused(world: Lists, route: dict[str, str], status: int) -> None:
    assert (await call("PUT", b"Name\nPaul\n", **route))[0] == status
