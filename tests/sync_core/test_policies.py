from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from local.memory import MemoryTables
from sync_core.contacts import item_of
from sync_core.definition import SyncDefinition
from sync_core.directory import merge
from sync_core.fingerprints import Fingerprinter
from sync_core.model import Create, Delete, Held, Item, Operation, Update
from sync_core.policies import Policies, emptied
from sync_core.state.names import REFUSALS
from sync_core.state.refusals import Refusals, RefusalStore

KEY = "u:1"
PERSON: dict[str, Any] = {
    "id": "1",
    "displayName": "Anna Berg",
    "givenName": "Anna",
    "surname": "Berg",
    "department": "Sales",
    "jobTitle": "Clerk",
    "officeLocation": "B7",
    "mail": "anna@example.com",
}


class Sync:
    """A sync with these policies, and what it makes of a person."""

    def __init__(self, **definition: Any) -> None:
        self.definition = SyncDefinition.model_validate({"name": "n", "folder": "f", **definition})
        self.policies = Policies.of(self.definition)
        self.fingerprinter = Fingerprinter(b"key", "k1", self.definition.fields.owned)

    def item(self, key: str = KEY, **changes: Any) -> Item:
        person = merge(None, {**PERSON, **changes})
        return item_of(
            person,
            key=key,
            installation="i",
            sync="s",
            fingerprinter=self.fingerprinter,
            default_country=None,
            fields=self.definition.fields,
        )

    def fingerprint(self, **changes: Any) -> str:
        return self.item(**changes).fingerprint

    def update(self, item: Item, entry: Held, was: str = "") -> Update | None:
        """What becomes of an update."""
        before: list[Operation] = [Update(item.key, entry.item_id, item.body, was)]
        after = self.policies.applied(before, {item.key: item}, {was or item.key: entry}, self.fingerprinter)
        assert len(after) < 2
        for operation in after:
            assert isinstance(operation, Update)
            assert (operation.key, operation.item_id, operation.was) == (item.key, entry.item_id, was)
            return operation
        return None


def fields(update: Update | None) -> set[str]:
    assert update is not None
    body = orjson.loads(update.body)
    assert len(body.pop("singleValueExtendedProperties")) == 2
    return set(body)


def rules(**by_name: Any) -> dict[str, Any]:
    return {"rules": by_name}


FILL = rules(jobTitle={"policy": "fill"}, department={"policy": "fill"})
NOTES = rules(personalNotes={"source": "officeLocation"})


@pytest.mark.parametrize(
    ("definition", "name", "look_first"),
    [
        ({}, "", False),
        ({"fields": NOTES}, "", False),
        ({"on_user_edit": "keep"}, "keep", True),
        ({"on_user_delete": "respect"}, "respect", True),
        ({"fields": FILL}, "department,jobTitle", True),
        ({"fields": FILL, "on_user_edit": "keep", "on_user_delete": "respect"}, "keep,respect,department,jobTitle", True),
    ],
)
def test_policies_are_named_by_what_makes_mailboxes_differ(definition: dict[str, Any], name: str, look_first: bool) -> None:
    policies = Sync(**definition).policies
    assert (policies.name, policies.look_first) == (name, look_first)


def test_without_policies_a_plan_is_carried_out_as_it_is() -> None:
    sync = Sync()
    item = sync.item()
    plan: list[Operation] = [Create("u:2", b"{}"), Update(KEY, "a", item.body), Delete("u:3", "c")]
    held = {KEY: Held("a", sync.fingerprint(department="Legal"), ("department",)), "u:3": Held("c", "")}
    assert sync.policies.applied(plan, {KEY: item, "u:2": sync.item("u:2")}, held, sync.fingerprinter) == plan


def test_only_creates_can_be_refused() -> None:
    sync = Sync(on_user_delete="respect")
    items = {key: sync.item(key) for key in ("u:1", "u:2", "u:3")}
    plan: list[Operation] = [Create("u:1", b""), Create("u:2", b""), Update("u:3", "c", items["u:3"].body), Delete("u:4", "d")]
    held = {"u:3": Held("c", sync.fingerprint(department="Legal")), "u:4": Held("d", "")}
    left = sync.policies.applied(plan, items, held, sync.fingerprinter, {"u:1", "u:3", "u:4"})
    assert left == plan[1:]


# --- kept edits ----------------------------------------------------------------------------------------------------------


def test_what_the_user_edited_is_left_out_and_remembered() -> None:
    sync = Sync(on_user_edit="keep")
    item = sync.item(department="Legal", jobTitle="Head", officeLocation="B8")
    entry = Held("a", sync.fingerprint(department="Mine"), ("department",))
    update = sync.update(item, entry)
    assert fields(update) == {"jobTitle", "officeLocation"}
    assert update is not None
    mixed = sync.fingerprint(department="Mine", jobTitle="Head", officeLocation="B8")
    assert update.then == Held("a", mixed, ("department",))


def test_nothing_is_left_to_write_when_only_the_edit_differs() -> None:
    sync = Sync(on_user_edit="keep")
    assert sync.update(sync.item(), Held("a", sync.fingerprint(department="Mine"), ("department",))) is None
    assert sync.update(sync.item(), Held("a", sync.fingerprint())) is None


def test_an_edit_that_equals_ours_is_written_off_in_the_mark() -> None:
    sync = Sync(on_user_edit="keep")
    entry = Held("a", sync.fingerprint(jobTitle="Mine"), ("department", "jobTitle"))
    update = sync.update(sync.item(), entry)
    assert fields(update) == set()
    assert update is not None
    assert update.then == Held("a", entry.fingerprint, ("jobTitle",))


def test_a_new_key_is_written_whatever_else_there_is() -> None:
    sync = Sync(on_user_edit="keep")
    entry = Held("a", sync.fingerprint(department="Mine"), ("department",))
    update = sync.update(sync.item("o:1+u:1"), entry, was=KEY)
    assert fields(update) == set()
    assert update is not None
    assert update.then == entry


@pytest.mark.parametrize("part", ["displayName", "givenName", "surname"])
def test_a_name_is_one_thing(part: str) -> None:
    sync = Sync(on_user_edit="keep")
    item = sync.item(displayName="Ann Other", givenName="Ann", surname="Other", jobTitle="Head")
    update = sync.update(item, Held("a", sync.fingerprint(**{part: "Mine"}), (part,)))
    assert fields(update) == {"jobTitle"}
    assert update is not None
    assert update.then is not None
    assert update.then.kept == ("displayName", "givenName", "surname")


def test_a_part_of_a_name_takes_the_display_name_along() -> None:
    sync = Sync(on_user_edit="keep")
    assert fields(sync.update(sync.item(givenName="Anne"), Held("a", sync.fingerprint()))) == {"givenName", "displayName"}


def test_of_unknown_content_all_is_written() -> None:
    sync = Sync(on_user_edit="keep")
    update = sync.update(sync.item(), Held("a", "", ("department",)))
    assert fields(update) == set(sync.fingerprinter.fields)
    assert update is not None
    assert update.then is None
    assert fields(sync.update(sync.item("o:1+u:1"), Held("a", ""), was=KEY)) == set(sync.fingerprinter.fields)


def test_a_kept_name_does_not_let_go_of_other_edits() -> None:
    sync = Sync(on_user_edit="keep")
    entry = Held("a", sync.fingerprint(displayName="Mine", department="Mine"), ("department", "displayName"))
    update = sync.update(sync.item(displayName="Ann", jobTitle="Head"), entry)
    assert fields(update) == {"jobTitle"}
    assert update is not None
    assert update.then is not None
    assert update.then.kept == ("department", "displayName")


def test_edits_that_were_once_kept_are_overwritten_where_that_is_not_wanted_any_more() -> None:
    sync = Sync(fields=NOTES)
    entry = Held("a", sync.fingerprint(department="Mine"), ("department",))
    assert fields(sync.update(sync.item(), entry)) == {"department"}


# --- fill ------------------------------------------------------------------------------------------------------------------


def test_fill_writes_what_is_blank() -> None:
    sync = Sync(fields=FILL)
    entry = Held("a", sync.fingerprint(jobTitle=None, department="Mine"))
    update = sync.update(sync.item(), entry)
    assert fields(update) == {"jobTitle"}
    assert update is not None
    assert update.then == Held("a", sync.fingerprint(department="Mine"))
    assert sync.update(sync.item(), update.then) is None


def test_fill_writes_nothing_where_nothing_is_known() -> None:
    sync = Sync(fields=FILL)
    assert fields(sync.update(sync.item(), Held("a", ""))) == set(sync.fingerprinter.fields) - {"jobTitle", "department"}
    left = Sync(fields=rules(jobTitle={"policy": "leave"}, department={"policy": "fill"}))
    assert fields(sync.update(sync.item(officeLocation="B8"), Held("a", left.fingerprint()))) == {"officeLocation"}


def test_a_field_blanked_by_the_user_is_filled_even_where_edits_are_kept() -> None:
    sync = Sync(fields=FILL, on_user_edit="keep")
    entry = Held("a", sync.fingerprint(jobTitle=None, officeLocation="Mine"), ("jobTitle", "officeLocation"))
    update = sync.update(sync.item(), entry)
    assert fields(update) == {"jobTitle"}
    assert update is not None
    assert update.then == Held("a", sync.fingerprint(officeLocation="Mine"), ("officeLocation",))


def test_what_fill_wrote_goes_when_the_person_hides_it() -> None:
    sync = Sync(fields=FILL)
    item = msgspec.structs.replace(sync.item(jobTitle=None, department=None), hides=sync.fingerprint())
    update = sync.update(item, Held("a", sync.fingerprint(department="Mine")))
    assert fields(update) == {"jobTitle"}
    assert update is not None
    assert orjson.loads(update.body)["jobTitle"] is None
    assert update.then == Held("a", sync.fingerprint(jobTitle=None, department="Mine"))
    for unknown in ("", "k9.a.another key"):  # then nobody can say that it is ours
        assert sync.update(msgspec.structs.replace(item, hides=unknown), Held("a", sync.fingerprint(department="Mine"))) is None


def test_what_the_user_edited_stays_even_when_the_person_hides_something() -> None:
    sync = Sync(fields=FILL, on_user_edit="keep")
    item = msgspec.structs.replace(sync.item(jobTitle=None), hides=sync.fingerprint())
    entry = Held("a", sync.fingerprint(officeLocation="Mine"), ("officeLocation",))
    assert fields(sync.update(item, entry)) == {"jobTitle"}


# --- notes -----------------------------------------------------------------------------------------------------------------


def test_notes_are_written_only_when_our_block_differs() -> None:
    sync = Sync(fields=NOTES)
    assert fields(sync.update(sync.item(department="Legal"), Held("a", sync.fingerprint()))) == {"department"}
    moved = sync.update(sync.item(officeLocation="B8"), Held("a", sync.fingerprint()))
    assert fields(moved) == {"officeLocation", "personalNotes"}
    assert moved is not None
    assert moved.then == Held("a", sync.fingerprint(officeLocation="B8"))


# --- one's own card ---------------------------------------------------------------------------------------------------------


def test_users_are_not_shown_themselves_where_that_is_not_wanted() -> None:
    sync = Sync(own_card="leave_out")
    items = {key: sync.item(key) for key in ("u:1", "o:2+u:1", "u:11", "u:2", "o:1")}
    assert set(sync.policies.shown_to("1", items)) == {"u:11", "u:2", "o:1"}
    assert sync.policies.shown_to("3", items) == items
    assert sync.policies.shown_to("1", {"u:1": items["u:1"]}) == {}
    assert Sync().policies.shown_to("1", items) == items
    assert sync.policies.name == "no own card"


# --- fields that no item writes any more -----------------------------------------------------------------------------------


def bodies(operations: list[Operation]) -> dict[str, dict[str, Any]]:
    return {step.key: orjson.loads(step.body) for step in operations if isinstance(step, Update)}


def test_what_no_item_writes_any_more_is_emptied_in_all_that_stays() -> None:
    sync = Sync()
    items = {key: sync.item(key) for key in ("u:1", "u:2", "u:3", "u:5+u:6")}
    held = {key: Held(f"id of {key}", "") for key in ("u:1", "u:2", "u:4", "u:5")}
    plan: list[Operation] = [
        Create("u:3", items["u:3"].body),
        Update("u:1", "id of u:1", b'{"jobTitle":"Head"}'),
        Update("u:5+u:6", "id of u:5", b"{}", "u:5"),
        Delete("u:4", "id of u:4"),
    ]
    steps = emptied(plan, ["nickName", "categories"], items, held)
    assert [(type(step), step.key) for step in steps] == [
        (Create, "u:3"),
        (Update, "u:1"),
        (Update, "u:5+u:6"),
        (Delete, "u:4"),
        (Update, "u:2"),
    ]
    assert steps[0] == plan[0]
    blank: dict[str, Any] = {"nickName": None, "categories": []}
    found = bodies(steps)
    assert found["u:1"] == {"jobTitle": "Head", **blank}
    assert found["u:5+u:6"] == blank
    # whoever had nothing else to write gets the blanks and the same marks as before
    marks = orjson.loads(items["u:2"].body)["singleValueExtendedProperties"]
    assert found["u:2"] == {"singleValueExtendedProperties": marks, **blank}
    assert steps[-1] == Update("u:2", "id of u:2", steps[-1].body, then=held["u:2"])  # type: ignore[union-attr]


def test_what_the_user_edited_is_not_emptied() -> None:
    sync = Sync(on_user_edit="keep")
    items = {key: sync.item(key) for key in ("u:1", "u:2")}
    held = {"u:1": Held("a", "", ("nickName",)), "u:2": Held("b", "", ("jobTitle", "nickName"))}
    steps = emptied([Update("u:1", "a", b"{}")], ["nickName", "title"], items, held)
    found = bodies(steps)
    assert found["u:1"] == {"title": None}
    assert set(found["u:2"]) == {"title", "singleValueExtendedProperties"}


# --- refusals --------------------------------------------------------------------------------------------------------------


def test_a_refused_person_stays_refused_when_sources_merge_or_part() -> None:
    refusals = Refusals(b"key")
    assert "u:1" not in refusals
    refusals.add(["o:1+u:1"])
    assert refusals.changed
    assert all(key in refusals for key in ("u:1", "o:1", "g:2+u:1", "o:1+u:1"))
    assert "u:2" not in refusals
    assert 1 not in refusals
    refusals.discard(["u:1", "o:1"])
    assert "o:1+u:1" not in refusals


def test_what_changes_nothing_is_no_change() -> None:
    refusals = Refusals(b"key")
    refusals.add([])
    refusals.discard(["u:1"])
    assert not refusals.changed
    refusals.add(["u:1"])
    again = Refusals(b"key", set(refusals.hashes))
    again.add(["u:1"])
    again.discard(["u:2"])
    assert not again.changed
    assert Refusals(b"other", set(refusals.hashes)).hashes.isdisjoint(_of(b"other", "u:1"))


def _of(key: bytes, item_key: str) -> set[bytes]:
    refusals = Refusals(key)
    refusals.add([item_key])
    return refusals.hashes


async def test_refusals_are_stored_by_mailbox_however_many() -> None:
    tables = MemoryTables()
    store = RefusalStore(tables, b"key", "t", "s")
    many = await store.load("m1")
    many.add(f"u:{number}" for number in range(20_000))
    await store.save("m1", many)
    few = await store.load("m2")
    few.add(["u:1"])
    await store.save("m2", few)
    assert not few.changed
    assert (await store.load("m1")).hashes == many.hashes
    assert (await store.load("m2")).hashes == few.hashes
    few.discard(["u:1"])
    await store.save("m2", few)
    assert [row.row async for row in tables.query(REFUSALS, "t:s")] == ["m1"]
    await store.remove(["m1", "m3"])
    assert [row.row async for row in tables.query(REFUSALS, "t:s")] == []
    await store.remove([])
