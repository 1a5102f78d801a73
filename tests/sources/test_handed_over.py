"""Uploaded files and pushed items as sources, through the engine."""

from __future__ import annotations

from typing import Any

import pytest

from gdpr.retention import purge_caches, purge_expired
from sync_core.engine import uploads
from sync_core.errors import InputError, NotFoundError
from sync_core.sources.files.entries import FileError
from sync_core.state.names import SOURCES
from tests.engine.world import SYNC, TENANT
from tests.sources.lists import Lists


def rows(*names: str) -> bytes:
    return ("Name,E-mail\n" + "".join(f"{name},{name.lower()}@partner.example\n" for name in names)).encode()


def item(name: str, **values: Any) -> dict[str, Any]:
    return {"id": name, "displayName": name, "mail": f"{name.lower()}@partner.example", **values}


class Partners(Lists):
    """A sync whose people come from a file or are pushed."""

    async def with_file(self, *names: str) -> None:
        await self.set_up({"kind": "file", "id": "partners"})
        await self.upload(*names)

    async def upload(self, *names: str) -> None:
        await uploads.upload_file(self.context, TENANT, "partners", rows(*names), "text/csv")

    async def with_push(self, *names: str) -> None:
        await self.set_up({"kind": "push", "id": "crm"})
        await self.push(*names)

    async def push(self, *names: str) -> None:
        assert await uploads.replace_items(self.context, TENANT, "crm", [item(name) for name in names]) == []


async def test_a_file_is_listed_and_the_next_upload_takes_its_place() -> None:
    world = Partners()
    await world.with_file("Ann", "Bob", "Cyd")
    await world.good()
    assert world.listed() == ["Ann", "Bob", "Cyd"]
    assert world.key("Ann").startswith("f:")
    await world.upload("Dan", "Cyd", "Ann")
    run = await world.good()
    assert world.listed() == ["Ann", "Cyd", "Dan"]
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (1, 0, 1)
    assert await world.spent() == 1  # the directory, which tells the targets


async def test_a_file_with_a_mistake_changes_nothing() -> None:
    world = Partners()
    await world.with_file("Ann", "Bob")
    await world.good()
    with pytest.raises(FileError):
        await uploads.upload_file(world.context, TENANT, "partners", rows("Cyd") + b"=1,x@x.example\n", "text/csv")
    assert (await uploads.look_at(world.context, TENANT, "file-partners")).people == 2
    assert (await world.good()).counts.deleted == 0


async def test_what_was_never_uploaded_holds() -> None:
    world = Partners()
    await world.set_up({"kind": "file", "id": "partners"})
    assert "source_unreadable file-partners: there is nothing" in await world.held()


@pytest.mark.parametrize("purged", [False, True])
async def test_after_sixty_days_it_has_expired_and_nothing_is_deleted(purged: bool) -> None:
    world = Partners()
    await world.with_file("Ann", "Bob")
    await world.good()
    world.pass_days(57)
    await purge_expired(world.tables, TENANT, world.clock.now())
    await world.good()
    world.pass_days(1)
    if purged:
        await purge_expired(world.tables, TENANT, world.clock.now())
        left = [entity async for entity in world.tables.query(SOURCES, f"{TENANT}:file-partners")]
        assert left == []
    for _ in range(2):
        assert (await world.held()).startswith("source_unreadable file-partners: ")
    with pytest.raises(NotFoundError):
        await uploads.look_at(world.context, TENANT, "file-partners")
    await world.upload("Ann", "Bob")
    assert (await world.good()).counts.deleted == 0
    assert world.listed() == ["Ann", "Bob"]


async def test_the_purge_of_a_sync_leaves_what_cannot_be_read_again() -> None:
    world = Partners()
    await world.with_file("Ann", "Bob")
    await world.redefine(purge_after_sync=True)
    await world.good()
    await world.good()
    assert world.listed() == ["Ann", "Bob"]
    await purge_caches(world.tables, TENANT, SYNC)
    await world.good()
    await purge_caches(world.tables, TENANT)
    assert "there is nothing" in await world.held()


async def test_a_file_that_is_forgotten_holds() -> None:
    world = Partners()
    await world.with_file("Ann", "Bob")
    await world.good()
    await uploads.empty(world.context, TENANT, "file-partners")
    assert "there is nothing" in await world.held()


async def test_an_upload_with_far_fewer_people_holds_and_can_be_released() -> None:
    world = Partners()
    await world.with_file(*(f"P{number}" for number in range(12)))
    await world.good()
    await world.upload("P1", "P2")
    assert await world.held() == "source_dropped 12 -> 2"


async def test_names_and_tenants_are_checked() -> None:
    world = Partners()
    with pytest.raises(NotFoundError):
        await world.upload("Ann")
    await world.connect()
    for name in ("", "Partners", "a/b", "a" * 64):
        with pytest.raises(InputError):
            await uploads.upload_file(world.context, TENANT, name, rows("Ann"), "text/csv")


async def test_nothing_of_an_upload_is_stored_in_clear() -> None:
    world = Partners()
    await world.with_file("Annabel")
    values = [
        value
        async for entity in world.tables.query(SOURCES, f"{TENANT}:file-partners")
        for value in entity.values.values()
        if isinstance(value, bytes | str)
    ]
    assert values
    assert not [value for value in values if b"nnabel" in (value.encode() if isinstance(value, str) else value)]


async def test_pushed_items_are_listed_changed_and_deleted_one_by_one() -> None:
    world = Partners()
    await world.with_push("Ann", "Bob")
    await world.good()
    assert world.listed() == ["Ann", "Bob"]
    assert world.key("Ann").startswith("p:")
    await uploads.put_item(world.context, TENANT, "crm", item("Cyd", businessPhones=["+49 30 1234567"]))
    await uploads.put_item(world.context, TENANT, "crm", item("Ann", jobTitle="Boss"))
    await uploads.delete_item(world.context, TENANT, "crm", "Bob")
    await uploads.delete_item(world.context, TENANT, "crm", "Nobody")
    await world.good()
    assert world.listed() == ["Ann", "Cyd"]
    assert world.values("Ann")["jobTitle"] == "Boss"
    assert world.values("Cyd")["businessPhones"] == ["+49301234567"]


async def test_the_first_item_fills_an_empty_source() -> None:
    world = Partners()
    await world.set_up({"kind": "push", "id": "crm"})
    await uploads.delete_item(world.context, TENANT, "crm", "Ann")
    assert "there is nothing" in await world.held()
    await uploads.put_item(world.context, TENANT, "crm", item("Ann"))
    await world.good()
    assert world.listed() == ["Ann"]


async def test_all_items_are_replaced_at_once_or_none() -> None:
    world = Partners()
    await world.with_push("Ann", "Bob", "Cyd")
    await world.good()
    wrong = [item("Dan"), {"id": "1", "mail": "no address"}, {"displayName": "x"}, item("Dan"), {"id": "2", "salary": 3}, "x"]
    problems = await uploads.replace_items(world.context, TENANT, "crm", wrong)
    assert [(problem.item, problem.field) for problem in problems] == [(1, "mail"), (2, "id"), (3, "id"), (4, "salary"), (5, "")]
    assert (await world.good()).counts.deleted == 0
    await world.push("Ann", "Cyd", "Dan")
    await world.good()
    assert world.listed() == ["Ann", "Cyd", "Dan"]


async def test_only_a_replacement_renews_a_push_source() -> None:
    world = Partners()
    await world.with_push("Ann", "Bob")
    world.pass_days(50)
    await uploads.put_item(world.context, TENANT, "crm", item("Cyd"))
    await world.good()
    world.pass_days(8)
    with pytest.raises(InputError, match="expired"):
        await uploads.put_item(world.context, TENANT, "crm", item("Dan"))
    assert "has expired" in await world.held()
    await world.push("Ann", "Bob", "Cyd", "Dan")
    await world.good()
    assert len(world.listed()) == 4


async def test_ids_of_different_case_are_different_items() -> None:
    world = Partners()
    await world.set_up({"kind": "push", "id": "crm"})
    items = [item("Ann", id="0035g00000AbCdE"), item("Bob", id="0035g00000aBcDe")]
    assert await uploads.replace_items(world.context, TENANT, "crm", items) == []
    await world.good()
    assert world.listed() == ["Ann", "Bob"]


async def test_who_replaces_it_while_old_pages_are_taken_away_loses_nothing() -> None:
    world = Partners()
    await world.with_push("Ann")
    memory = world.tables.stored
    committed = 0

    async def meanwhile(when: str, operation: str, table: str) -> None:
        nonlocal committed
        if (when, operation, table) == ("after", "commit", SOURCES):
            committed += 1
            if committed == 2:  # the first wrote the page, this one flipped the head
                memory.hook = before
                await world.push("Ann", "Bob", "Cyd")

    before, memory.hook = memory.hook, meanwhile
    await world.push("Ann", "Bob")
    assert committed == 2
    assert (await uploads.look_at(world.context, TENANT, "push-crm")).people == 3
    await world.good()
    assert world.listed() == ["Ann", "Bob", "Cyd"]
