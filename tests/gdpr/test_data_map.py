"""The data map knows all that is stored, and the documents made from it are those in docs/."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdpr.audit_chain import SYSTEM
from gdpr.audit_trail import prune, record
from gdpr.data_map import DATA_MAP, Category, stored_in, unknown
from gdpr.documents import PAGES
from gdpr.requests import RequestKind
from gdpr.sealed_tables import SEALED
from sync_core.choices import Choice
from sync_core.engine import poison, runs, uploads
from sync_core.hiding import CardField
from sync_core.messages import SYNC_START
from sync_core.state import names
from sync_core.state.choices import save_choice, save_hidden
from sync_core.state.runs import Check
from tests.engine.world import SYNC, TENANT, World
from tests.gdpr.privacy import asked, done

DOCS = Path(__file__).parent.parent.parent / "docs"
TABLES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}


async def full_world() -> World:
    """A world with a row in every table: runs, an upload, refusals, requests, a poisoned message."""
    world = World()
    anna, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    await world.connect({"on_user_delete": "respect", "sources": [{"kind": "directory"}, {"kind": "file", "id": "guests"}]})
    csv = b"Display name,E-mail address\nGuest One,guest.one@elsewhere.example\n"
    await uploads.upload_file(world.context, TENANT, "guests", csv, "text/csv")
    await save_hidden(world.context.tables, TENANT, anna, [CardField.PHOTO])
    await save_choice(world.context.tables, TENANT, SYNC, anna, Choice.OFF)
    await runs.request_run(world.context, TENANT, SYNC)
    await world.settle()
    box = world.tenant.mailbox(ben)
    box.delete(world.ours(ben)[f"u:{anna}"][0])
    await runs.request_run(world.context, TENANT, SYNC, check=Check.EVERYTHING)
    await world.settle()
    await poison.bury(world.context, SYNC_START, b"{}")
    await done(world, await asked(world, RequestKind.EXPORT, "guest.one@elsewhere.example"))
    await done(world, await asked(world, RequestKind.OBJECTION, "guest.one@elsewhere.example"))
    await record(world.context, TENANT, actor=SYSTEM, action="sync.replaced", once="once")
    await prune(world.context, TENANT, before=world.clock.now())
    return world


async def rows(world: World) -> dict[str, list[dict[str, object]]]:
    return {table: [dict(entity.values) async for entity in world.tables.stored.scan(table)] for table in TABLES}


async def test_every_stored_property_is_in_the_map() -> None:
    stored = await rows(await full_world())
    empty = {table for table, found in stored.items() if not found}
    assert empty <= {names.ANSWERS, names.NOTICES, names.DEPARTURES, names.PARTNERS}, "no row of these is seen"
    assert [name for table, found in stored.items() for row in found for name in unknown(table, row)] == []


async def test_what_the_map_calls_sealed_is_bytes_and_shows_nothing() -> None:
    world = await full_world()
    for table, found in (await rows(world)).items():
        stored = stored_in(table)
        assert stored
        for row in found:
            for name, value in row.items():
                if stored.is_sealed(name):
                    assert isinstance(value, bytes), f"{table}.{name}"
                    assert not any(text in value for text in (b"Anna", b"example", b"Colleagues")), f"{table}.{name}"
                elif stored.category(name) is Category.CONTENT:
                    pytest.fail(f"{table}.{name} holds people and is not sealed")


def test_the_map_knows_every_table_and_names_a_property_it_does_not_know() -> None:
    assert {stored.table for stored in DATA_MAP} == TABLES
    assert unknown("syncs", {"Definition": b"", "Nickname": ""}) == ["syncs.Nickname"]
    assert unknown("friends", {}) == ["friends"]
    assert unknown("snapshots", {"Page17": b""}) == []


@pytest.mark.parametrize("name", PAGES)
def test_the_documents_are_those_that_the_map_makes(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m gdpr.documents"


def test_what_is_sealed_in_place_is_called_sealed_by_the_map() -> None:
    for table, sealed in SEALED.items():
        stored = stored_in(table)
        assert stored
        assert sealed <= stored.sealed
