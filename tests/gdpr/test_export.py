"""Exports: all that is held, compared with tables and mailboxes by other means; sealed, bounded in time, for the right people."""

from __future__ import annotations

import csv
import io
import zipfile
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
import pytest

from gdpr import archive, export, held
from gdpr.audit_chain import Actor
from gdpr.audit_trail import record
from gdpr.data_map import DATA_MAP
from gdpr.privacy_queue import take_steps
from gdpr.purge import purge_tenant
from gdpr.requests import Request, RequestKind, RequestState, load_request
from sync_core.choices import Choice
from sync_core.errors import InputError, LostPagesError, NotFoundError, TransientError
from sync_core.hiding import CardField
from sync_core.messages import PrivacyStep, PurgeTenant
from sync_core.state.choices import save_choice, save_hidden
from tests.engine.test_photos import photo, staff
from tests.engine.world import SYNC, TENANT, World
from tests.gdpr.privacy import OFFICER, asked, done, everywhere, fetch_export

ANNA = "anna.berg@example.com"
STRANGER = Actor("user", "77777777-aaaa-4aaa-8aaa-111111111111", TENANT)


async def fetched(world: World, request: Request, *, by: Actor = OFFICER, is_officer: bool = False) -> dict[str, bytes]:
    """The files of all parts."""
    found: dict[str, bytes] = {}
    for part in range(1, max(2, len(request.parts) + 1)):
        pieces = await fetch_export(world.context, TENANT, request.request, by=by, is_officer=is_officer, part=part)
        content = b"".join([piece async for piece in pieces])
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            assert found.keys().isdisjoint(archive.namelist())
            found |= {name: archive.read(name) for name in archive.namelist()}
    return found


def lines_of(files: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    """The lines of a file, however many parts it is spread over."""
    stem, _, kind = name.rpartition(".")
    parts = [content for file, content in files.items() if file.startswith(f"{stem}.") and file.endswith(f".{kind}")]
    return [orjson.loads(line) for content in parts for line in content.splitlines()]


async def world_with_people() -> tuple[World, str]:
    world = World()
    anna = world.hire("Anna Berg", streetAddress="=1+1 Straße")
    world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    return world, anna


async def test_an_export_of_a_person_holds_what_tables_and_mailboxes_hold() -> None:
    world, anna = await world_with_people()
    await save_hidden(world.tables, TENANT, anna, [CardField.PHOTO])
    await save_choice(world.tables, TENANT, SYNC, anna, Choice.PAUSED)
    request = await done(world, await asked(world, RequestKind.EXPORT, ANNA))
    assert request.state is RequestState.DONE
    files = await fetched(world, request)
    holds: dict[str, Any] = orjson.loads(files["person.json"])
    [source] = holds["sources"]
    raw = world.tenant.directory.users.objects[anna]
    for name in ("displayName", "mail", "mobilePhone", "businessPhones", "department", "streetAddress"):
        assert source["properties"][name] == raw[name], name
    assert {entry["key"] for entry in holds["contacts"]} == {f"u:{anna}"}
    assert lines_of(files, "mailboxes.jsonl") == [
        {"sync": "people", "name": "People", "mailboxesThatHoldThem": len(everywhere(world, "Anna Berg"))}
    ]
    assert [own["contacts"] for own in holds["ownMailbox"]] == [len(list(world.tenant.live_contacts(anna)))]
    assert len(lines_of(files, "runs.jsonl")) == 1
    assert holds["choices"] == [{"user": anna, "sync": SYNC, "choice": "paused"}, {"user": anna, "hides": ["photo"]}]
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


@pytest.mark.parametrize("size", [export.PART_SIZE, 1])
async def test_an_export_of_a_tenant_holds_every_photo_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PART_SIZE", size)
    monkeypatch.setattr(archive, "_PIECE", 1)
    world, people = await staff()
    await world.run()
    files = await fetched(world, await done(world, await asked(world, RequestKind.TENANT_EXPORT, ANNA)), is_officer=True)
    held = {line["key"]: b64decode(line["jpeg"]) for line in lines_of(files, "photos.jsonl")}
    on_phones = {f"u:{user}": photo(world, people[0], user) for user in people[:3]}
    assert held == on_phones
    assert len(lines_of(files, "photos.jsonl")) == 3


async def big_world() -> World:
    """A tenant of which there is enough for several parts."""
    world = World()
    people = world.hire_many(300, mailboxes=3)
    await world.connect()
    for _ in range(3):
        await world.run()
        world.clock.advance(timedelta(days=1))
    for number in range(30):
        await record(world.context, TENANT, actor=OFFICER, action="sync.replaced", subject=str(number))
    await save_hidden(world.tables, TENANT, people[0], [CardField.PHOTO])
    return world


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PART_SIZE", 1)
    monkeypatch.setattr(held, "_ROWS", 2)
    monkeypatch.setattr(held, "_MAILBOXES", 1)
    monkeypatch.setattr(archive, "_PIECE", 1)


SAME = {"sources.jsonl", "contacts.jsonl", "replicas.jsonl", "choices.jsonl", "mailboxes.jsonl", "runs.jsonl"}


@pytest.mark.parametrize("kind", [RequestKind.EXPORT, RequestKind.TENANT_EXPORT])
async def test_a_large_export_comes_in_parts_that_together_are_the_whole(
    kind: RequestKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await big_world()
    mail = "person.number00001@example.com"
    whole = await done(world, await asked(world, kind, mail))
    assert len(whole.parts) == 1
    wanted = await fetched(world, whole, is_officer=True)
    small_parts(monkeypatch)
    request = await done(world, await asked(world, kind, mail))
    assert len(request.parts) > 3
    files = await fetched(world, request, is_officer=True)
    manifest = orjson.loads(files["manifest.json"])
    assert [name for part in manifest["parts"] for name in part["files"]] == [name for name in files if name != "manifest.json"]
    assert [part["files"] for part in manifest["parts"]] == [part.files for part in request.parts]
    for name in SAME & wanted.keys():
        assert lines_of(files, name) == lines_of(wanted, name), name
    if kind is RequestKind.TENANT_EXPORT:
        sequences = [line["sequence"] for line in lines_of(files, "audit.jsonl")[1:]]
        assert sequences == list(range(1, len(sequences) + 1))
        assert len(SAME & wanted.keys()) == 5
    assert not [name for name in request.counts if name.startswith("heldIn")]


async def test_who_dies_goes_on_after_the_last_part_that_was_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await big_world()
    small_parts(monkeypatch)
    quiet = await done(world, await asked(world, RequestKind.TENANT_EXPORT, ANNA))
    wanted = await fetched(world, quiet, is_officer=True)
    put, puts = world.blobs.put, 0

    async def dying(name: str, content: Any) -> None:
        nonlocal puts
        await put(name, content)
        puts += 1
        if puts % 3 == 0:
            raise TransientError("the worker died")

    monkeypatch.setattr(world.blobs, "put", dying)
    request = await asked(world, RequestKind.TENANT_EXPORT, ANNA)
    for _ in range(100):
        if (request := await load_request(world.context, TENANT, request.request)).state is RequestState.DONE:
            break
        with suppress(TransientError):
            await take_steps(world.context, PrivacyStep(TENANT, request.request))
    assert len(quiet.parts) - 2 < len(request.parts) < puts
    files = await fetched(world, request, is_officer=True)
    for name in SAME & wanted.keys():
        assert lines_of(files, name) == lines_of(wanted, name), name


async def test_a_delivery_that_has_worked_long_enough_leaves_the_rest_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await big_world()
    request = await asked(world, RequestKind.TENANT_EXPORT, ANNA)
    put = world.blobs.put

    async def slow(name: str, content: Any) -> None:
        async def slowly() -> AsyncIterator[bytes]:
            async for piece in content:
                world.clock.advance(timedelta(minutes=2))
                yield piece

        await put(name, slowly())

    monkeypatch.setattr(world.blobs, "put", slow)
    monkeypatch.setattr(archive, "_PIECE", 1)
    request = await done(world, request)
    assert request.state is RequestState.DONE
    assert len(request.parts) > 2
    objects = lines_of(await fetched(world, request, is_officer=True), "sources.jsonl")
    assert len({entry["key"] for entry in objects}) == len(objects) == 300


async def test_what_a_late_worker_writes_after_the_end_is_deleted() -> None:
    world, _ = await world_with_people()
    request = await done(world, await asked(world, RequestKind.EXPORT, ANNA))
    world.clock.advance(timedelta(days=7))
    await purge_tenant(world.context, PurgeTenant(TENANT))
    world.blobs.files[f"{TENANT}/{request.request}/late"] = b"x"
    world.clock.advance(timedelta(days=1))
    await purge_tenant(world.context, PurgeTenant(TENANT))
    assert world.blobs.files == {}


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
