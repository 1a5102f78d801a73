"""Exports: all that is held, compared with tables and mailboxes by other means; sealed, bounded in time, for the right people."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import timedelta
from typing import Any

import orjson
import pytest

from gdpr.audit_chain import Actor
from gdpr.data_map import DATA_MAP
from gdpr.export import fetch_export
from gdpr.purge import purge_tenant
from gdpr.requests import Request, RequestKind, RequestState, load_request
from sync_core.errors import InputError, LostPagesError, NotFoundError
from sync_core.messages import PurgeTenant
from tests.engine.world import TENANT, World
from tests.gdpr.privacy import OFFICER, asked, done, everywhere

ANNA = "anna.berg@example.com"
STRANGER = Actor("user", "77777777-aaaa-4aaa-8aaa-111111111111", TENANT)


async def fetched(world: World, request: Request, *, by: Actor = OFFICER, is_officer: bool = False) -> dict[str, bytes]:
    pieces = await fetch_export(world.context, TENANT, request.request, by=by, is_officer=is_officer)
    content = b"".join([piece async for piece in pieces])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def world_with_people() -> tuple[World, str]:
    world = World()
    anna = world.hire("Anna Berg", streetAddress="=1+1 Straße")
    world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    return world, anna


async def test_an_export_of_a_person_holds_what_tables_and_mailboxes_hold() -> None:
    world, anna = await world_with_people()
    request = await done(world, await asked(world, RequestKind.EXPORT, ANNA))
    assert request.state is RequestState.DONE
    files = await fetched(world, request)
    held: dict[str, Any] = orjson.loads(files["person.json"])
    [source] = held["sources"]
    raw = world.tenant.directory.users.objects[anna]
    for name in ("displayName", "mail", "mobilePhone", "businessPhones", "department", "streetAddress"):
        assert source["properties"][name] == raw[name], name
    assert {entry["key"] for entry in held["contacts"]} == {f"u:{anna}"}
    assert held["mailboxes"] == [
        {"sync": "people", "name": "People", "mailboxesThatHoldThem": len(everywhere(world, "Anna Berg"))}
    ]
    assert [own["contacts"] for own in held["ownMailbox"]] == [len(list(world.tenant.live_contacts(anna)))]
    assert len(held["runs"]) == 1
    assert b"Ben" not in b"".join(files.values())
    [line] = csv.DictReader(io.StringIO(files["contacts.csv"].decode("utf-8-sig")))
    assert (line["displayName"], line["mobilePhone"]) == ("Anna Berg", "+49 151 23456789")
    assert line["streetAddress"] == "'=1+1 Straße"
    assert b"FN:Anna Berg" in files["contacts.vcf"]
    assert ANNA.encode() in files["contacts.vcf"]
    manifest = orjson.loads(files["manifest.json"])
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    assert [table["table"] for table in manifest["tables"]] == [stored.table for stored in DATA_MAP]


async def test_an_export_of_a_tenant_holds_everybody() -> None:
    world, _ = await world_with_people()
    request = await done(world, await asked(world, RequestKind.TENANT_EXPORT, ANNA))
    files = await fetched(world, request, by=STRANGER, is_officer=True)
    objects = [orjson.loads(line) for line in files["sources.jsonl"].splitlines()]
    assert {entry["properties"]["mail"] for entry in objects} == {
        user["mail"] for user in world.tenant.directory.users.objects.values()
    }
    contacts = [orjson.loads(line) for line in files["contacts.jsonl"].splitlines()]
    assert len(contacts) == 2
    assert len(files["replicas.jsonl"].splitlines()) == 2
    assert orjson.loads(files["tenant.json"])["syncs"][0]["definition"]["name"] == "People"
    assert set(orjson.loads(files["manifest.json"])["files"]) == set(files) - {"manifest.json"}


async def test_it_is_sealed_and_bound_to_its_place() -> None:
    world, _ = await world_with_people()
    request = await done(world, await asked(world, RequestKind.EXPORT, ANNA))
    [(name, content)] = world.blobs.files.items()
    assert b"Anna" not in content
    assert b"PK\x03\x04" not in content
    for damaged in (content[:-1], content[: len(content) // 2], b"", content[:-1] + bytes([content[-1] ^ 1]), content + content):
        world.blobs.files[name] = damaged
        with pytest.raises(LostPagesError):
            await fetched(world, request)


async def test_only_who_asked_and_compliance_officers_may_fetch_it_and_only_for_seven_days() -> None:
    world, _ = await world_with_people()
    waiting = await asked(world, RequestKind.EXPORT, ANNA)
    with pytest.raises(InputError, match="running"):
        await fetched(world, waiting)
    request = await done(world, waiting)
    with pytest.raises(NotFoundError, match="does not exist"):
        await fetched(world, request, by=STRANGER)
    assert await fetched(world, request, by=STRANGER, is_officer=True)
    world.clock.advance(timedelta(days=7))
    with pytest.raises(NotFoundError, match="expired"):
        await fetched(world, request)
    await purge_tenant(world.context, PurgeTenant(TENANT))
    assert world.blobs.files == {}
    assert (await load_request(world.context, TENANT, request.request)).subject.identifiers == []


@pytest.mark.parametrize("kind", [RequestKind.EXPORT, RequestKind.TENANT_EXPORT])
async def test_an_erasure_deletes_what_has_been_exported_of_the_person(kind: RequestKind) -> None:
    world, _ = await world_with_people()
    await done(world, await asked(world, kind, ANNA))
    await done(world, await asked(world, RequestKind.EXPORT, "ben.ohm@example.com"))
    erased = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert erased.counts["exports"] == 1
    assert len(world.blobs.files) == 1
