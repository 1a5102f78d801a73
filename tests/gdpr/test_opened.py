"""Told by opening every row by itself: what is bound to its place, what an export holds, and what an erasure leaves."""

from __future__ import annotations

import orjson
import pytest

from gdpr.data_map import DATA_MAP
from gdpr.requests import RequestKind, RequestState
from sync_core.errors import LostPagesError
from sync_core.notices import Kind
from sync_core.state import names
from tenancy import webhooks
from tests.engine.world import TENANT, World
from tests.gdpr.opened import plain_rows, sealed_values
from tests.gdpr.privacy import asked, done, everywhere
from tests.gdpr.test_data_map import full_world
from tests.gdpr.test_export import fetched, lines_of

OTHER = TENANT.replace("1", "9")
ZILP = "zilp.zalp@example.com"
TEXTS = (b"Zilp Zalp", b"zilp.zalp", b"Zalp", b"77665544")


async def test_no_sealed_value_opens_anywhere_but_in_its_own_place() -> None:
    world = await full_world()
    await webhooks.set_up(world.context, TENANT, "https://hook.example.com/x", [Kind.CONSENT_LOST])
    own, other = await world.context.keyring.keys(TENANT), await world.context.keyring.keys(OTHER)
    seen: set[str] = set()
    async for value in sealed_values(world):
        seen.add(value.table)
        assert value.opened(own.sealer) is not None
        elsewhere = [
            value.place(table="elsewhere"),
            value.place(partition=value.partition.replace(TENANT, OTHER)),
            value.place(partition=f"{value.partition}2"),
            value.place(row=f"{value.row}2"),
            *([value.place(name="Other")] if value.name else []),
        ]
        for place in elsewhere:
            with pytest.raises(LostPagesError):
                own.sealer.open(value.sealed, place=place)
        for place in (value.place(), elsewhere[1]):
            with pytest.raises(LostPagesError):
                other.sealer.open(value.sealed, place=place)
    assert seen == {stored.table for stored in DATA_MAP if stored.sealed} - {names.ANSWERS}


async def world_with_zilp() -> tuple[World, str]:
    world = World()
    zilp = world.hire("Zilp Zalp", mobilePhone="+49 151 77665544")
    world.hire("Ben Ohm")
    await world.connect()
    await world.define({"folder": "Second"}, sync="second")
    for sync in ("people", "second"):
        await world.run(sync=sync)
    return world, zilp


async def test_an_export_is_what_opening_every_row_finds() -> None:
    world, zilp = await world_with_zilp()
    rows = [(table, plain) async for table, plain in plain_rows(world)]
    tables = {table for table, plain in rows if b"Zilp Zalp" in plain}
    assert tables == {names.SOURCES, names.SNAPSHOTS}
    request = await done(world, await asked(world, RequestKind.EXPORT, ZILP))
    files = await fetched(world, request)
    held = orjson.loads(files["person.json"])
    [raw] = [
        person
        for table, plain in rows
        if table == names.SOURCES and b"Zilp Zalp" in plain
        for person in orjson.loads(plain).values()
        if person["displayName"] == "Zilp Zalp"
    ]
    assert [entry["properties"] for entry in held["sources"]] == [raw]
    bodies = [
        orjson.loads(item[2])
        for table, plain in rows
        if table == names.SNAPSHOTS and b"Zilp Zalp" in plain
        for item in orjson.loads(plain)
        if item[0] == f"u:{zilp}"
    ]
    assert len(held["contacts"]) == len(bodies) == 2
    for entry in held["contacts"]:
        assert entry["contact"]["displayName"] == "Zilp Zalp"
        assert entry["contact"]["mobilePhone"] in {body["mobilePhone"] for body in bodies}
    assert (
        sum(entry["mailboxesThatHoldThem"] for entry in lines_of(files, "mailboxes.jsonl"))
        == len(everywhere(world, "Zilp Zalp"))
        == 4
    )


async def test_after_an_erasure_no_row_that_is_opened_names_the_person() -> None:
    world, _ = await world_with_zilp()
    await done(world, await asked(world, RequestKind.EXPORT, ZILP))
    await done(world, await asked(world, RequestKind.TENANT_EXPORT, ZILP))
    found = [(table, text) async for table, plain in plain_rows(world) for text in TEXTS if text in plain]
    assert {table for table, _ in found} == {names.SOURCES, names.SNAPSHOTS, names.REQUESTS}
    assert {text for _, text in found} == set(TEXTS)
    assert (await done(world, await asked(world, RequestKind.ERASURE, ZILP))).state is RequestState.DONE
    assert [(table, text) async for table, plain in plain_rows(world) for text in TEXTS if text in plain] == []
    assert world.blobs.files == {}
