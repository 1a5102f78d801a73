"""What employees hide of their cards is in no mailbox after the next run, wherever it comes from, and comes back when shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_core.definition import TenantSettings
from sync_core.engine import admin, runs, uploads
from sync_core.engine.employees import check_hideable, hide, my_fields
from sync_core.engine.preview import Page, preview
from sync_core.engine.undo import undo
from sync_core.errors import InputError
from sync_core.hiding import CardField
from sync_core.model import RunState
from sync_core.state.syncs import load_sync
from tests.engine.world import SYNC, TENANT, World, deliver

MOBILE, DESK, PLACE = "+49 170 1112223", "+49 40 7654321", "Room 4711"
ANNA: Mapping[str, Any] = {
    "mobilePhone": MOBILE,
    "businessPhones": [DESK],
    "officeLocation": PLACE,
    "jobTitle": "Diver",
    "streetAddress": "Lake Road 1",
    "city": "Sea Town",
}
SHOWS = {
    CardField.MOBILE_PHONE: "1112223",
    CardField.BUSINESS_PHONES: "7654321",
    CardField.OFFICE_LOCATION: PLACE,
    CardField.JOB_TITLE: "Diver",
    CardField.BUSINESS_ADDRESS: "Sea Town",
}
"""What would show of a field."""


async def hides(world: World, user: str, *fields: str) -> None:
    """The employee hides these fields and no other."""
    mine = await my_fields(world.context, TENANT, user)
    wanted = [CardField(name) for name in fields]
    check_hideable(mine, wanted)
    await hide(world.context, TENANT, user, mine, wanted)


async def allow(world: World, *fields: CardField) -> None:
    await admin.change_settings(world.context, TENANT, TenantSettings(default_country="DE", hideable=fields))


async def with_anna(**definition: Any) -> tuple[World, str]:
    """A world in which everybody may hide everything, after a first run."""
    world = World()
    anna = world.hire("Anna Berg", **ANNA)
    world.hire_many(3, mailboxes=2)
    await world.connect(definition)
    await allow(world, *CardField)
    await world.run()
    return world, anna


def showing(world: World, text: str) -> int:
    """In how many contacts of ours and others a text stands, wherever they lie."""
    found = [contact for box in world.tenant.mailboxes.values() for contact in box.items()]
    return sum(text in repr(contact.values).replace(" ", "") for contact in found)


def shows(world: World, field: CardField) -> int:
    return showing(world, SHOWS[field].replace(" ", ""))


async def night(world: World, *, sync: str = SYNC) -> Any:
    world.clock.advance(timedelta(days=1))
    run = await world.run(sync=sync)
    assert run.state is RunState.SUCCEEDED
    return run


@pytest.mark.parametrize("field", SHOWS)
async def test_a_hidden_field_is_gone_after_one_run_and_comes_back(field: CardField) -> None:
    world, anna = await with_anna()
    assert shows(world, field) == 3
    await hides(world, anna, field)
    run = await night(world)
    assert (shows(world, field), run.counts.updated, run.counts.created) == (0, 3, 0)
    assert all(shows(world, other) == 3 for other in SHOWS if other is not field)
    await hides(world, anna)
    await night(world)
    assert shows(world, field) == 3


async def test_hiding_costs_one_request_per_mailbox_and_nothing_after() -> None:
    world, anna = await with_anna()
    await night(world)
    await hides(world, anna, "mobilePhone")
    world.cloud.counters.reset()
    run = await world.run()
    assert run.counts.updated == 3
    assert set(world.cloud.counters.mailboxes.values()) == {1}
    world.cloud.counters.reset()
    await hides(world, anna, "mobilePhone", "photo")  # there is none
    again = await world.run()
    assert (again.counts.updated, sum(world.cloud.counters.mailboxes.values())) == (0, 0)


async def test_only_what_the_administrator_allows_is_hidden() -> None:
    world, anna = await with_anna()
    await hides(world, anna, "mobilePhone", "jobTitle")
    await allow(world, CardField.JOB_TITLE)
    await night(world)
    assert (showing(world, "1112223"), showing(world, "Diver")) == (3, 0)
    with pytest.raises(InputError, match="jobTitle"):
        await hides(world, anna, "mobilePhone")
    await hides(world, anna)
    await allow(world, *CardField)
    await night(world)
    assert (showing(world, "1112223"), showing(world, "Diver")) == (0, 3), "what was not allowed meanwhile is still chosen"


@pytest.mark.parametrize("directory", [True, False], ids=["merged", "alone"])
@pytest.mark.parametrize("column", ["Mobile Phone", "Business Phone"])
async def test_it_does_not_come_in_from_another_source(directory: bool, column: str) -> None:
    sources = [{"kind": "directory"}] * directory + [{"kind": "file", "id": "staff"}]
    world = World()
    anna = world.hire("Anna Berg", **{**ANNA, "businessPhones": []})
    world.hire("Ben Ohm")
    await world.connect({"sources": sources})
    await allow(world, *CardField)
    csv = f"Display name,E-mail address,{column}\nAnna B,anna.berg@example.com,0170-1112223\n"
    await uploads.upload_file(world.context, TENANT, "staff", csv.encode(), "text/csv")
    await world.run()
    assert showing(world, "1112223") == 2
    await hides(world, anna, "mobilePhone")
    await night(world)
    assert showing(world, "1112223") == 0
    assert showing(world, "Anna") == 2


async def test_it_is_hidden_in_every_list_whatever_feeds_its_fields() -> None:
    world, anna = await with_anna()
    rules = {
        "personalNotes": {"source": "mobilePhone"},
        "businessPhones": {"source": "mobilePhone"},
        "mobilePhone": {"policy": "fill"},
    }
    await world.define({"folder": "Second", "fields": {"rules": rules}}, sync="second")
    await world.run(sync="second")
    assert showing(world, "1112223") == 6
    await hides(world, anna, "mobilePhone")
    await night(world)
    await night(world, sync="second")
    assert showing(world, "1112223") == 0
    assert showing(world, "Anna") == 6


async def test_what_a_user_wrote_into_a_blank_field_stays_theirs() -> None:
    world, anna = await with_anna(fields={"rules": {"mobilePhone": {"policy": "fill"}}})
    ben = next(mailbox for mailbox in world.tenant.mailboxes if mailbox != anna and world.ours(mailbox))
    [contact] = world.ours(ben)[f"u:{anna}"]
    world.tenant.mailbox(ben).change(contact, {"mobilePhone": "+49 171 9999999"})
    await night(world)
    await hides(world, anna, "mobilePhone")
    await night(world)
    assert (showing(world, "1112223"), showing(world, "9999999")) == (0, 1)


async def test_a_hidden_photo_goes_and_comes_back() -> None:
    world = World()
    anna, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    world.tenant.set_photo(anna, 1)
    world.tenant.set_photo(ben, 2)
    await world.connect({"photos": "240x240"})
    await allow(world, *CardField)
    await world.run()

    def photos() -> list[int]:
        return [sum(bool(world.ours(box)[f"u:{user}"][0].photo) for box in (anna, ben)) for user in (anna, ben)]

    assert photos() == [2, 2]
    await hides(world, anna, "photo")
    await night(world)
    assert photos() == [0, 2]
    await hides(world, anna)
    await night(world)
    assert photos() == [2, 2]


@pytest.mark.parametrize("hidden_before", [True, False], ids=["before the night", "after it"])
async def test_an_undo_does_not_bring_it_back(hidden_before: bool) -> None:
    rules = {"personalNotes": {"source": "mobilePhone"}}
    world, anna = await with_anna(fields={"rules": rules})
    if hidden_before:
        await hides(world, anna, "mobilePhone")
    world.tenant.change_user(anna, {"department": "Regretted"})
    await world.define({"fields": {}})
    bad = await night(world)
    if not hidden_before:
        await hides(world, anna, "mobilePhone")
    await undo(world.context, TENANT, bad.run)
    await world.settle()
    assert (showing(world, "1112223"), showing(world, "Regretted"), showing(world, "Anna")) == (0, 0, 3)
    assert (await world.last_run()).state is RunState.SUCCEEDED
    # the sync is paused now: whatever is hidden then is heeded all the same
    await hides(world, anna, "mobilePhone", "jobTitle")
    await night(world)
    assert (showing(world, "1112223"), showing(world, "Diver")) == (0, 0)
    await hides(world, anna)
    await admin.resume_sync(world.context, TENANT, SYNC)
    await night(world)
    assert (showing(world, "1112223"), showing(world, "Diver")) == (3, 3)


async def test_an_undo_that_died_after_hiding_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world, anna = await with_anna()
    world.tenant.change_user(anna, {"department": "Regretted"})
    bad = await night(world)
    await hides(world, anna, "mobilePhone")
    await undo(world.context, TENANT, bad.run)
    tables = world.context.tables

    async def dying(table: str, partition: str, changes: Any) -> list[str]:
        if table == "syncs":
            raise OSError("the worker died")
        return await commit(table, partition, changes)

    commit = tables.commit
    monkeypatch.setattr(tables, "commit", dying)
    message = world.queues.receive()
    assert message is not None
    with pytest.raises(OSError, match="died"):
        await deliver(world.context, message)
    monkeypatch.undo()
    await runs.revive_run(world.context, await load_sync(world.tables, TENANT, SYNC))
    await world.settle()
    assert (showing(world, "1112223"), showing(world, "Regretted"), showing(world, "Anna")) == (0, 0, 3)


async def test_a_preview_says_what_hiding_does() -> None:
    world, anna = await with_anna()
    await hides(world, anna, "mobilePhone")
    shown = await preview(world.context, await load_sync(world.tables, TENANT, SYNC), Page())
    changes = [change for mailbox in shown.mailboxes for change in mailbox.changes]
    assert {(change.key, *change.after) for change in changes} == {(f"u:{anna}", "mobilePhone")}
    assert {change.after["mobilePhone"] for change in changes} == {None}


async def test_a_held_run_that_is_released_heeds_what_was_hidden_meanwhile() -> None:
    world, anna = await with_anna()
    for user in list(world.tenant.directory.users.objects):
        if user != anna:
            world.tenant.remove_user(user)
    await world.define({"brakes": {"percent": 20, "at_least": 1}})
    held = await world.run()
    assert held.state is RunState.HELD
    await hides(world, anna, "mobilePhone")
    await runs.release(world.context, TENANT, held.run)
    await world.settle()
    assert [contact.values.get("mobilePhone") for contact in world.ours(anna)[f"u:{anna}"]] == [None]


hiding = st.lists(
    st.tuples(st.integers(0, 2), st.sets(st.sampled_from(list(SHOWS)))) | st.sampled_from(["run", "undo", "resume", "purge"]),
    max_size=12,
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=hiding)
async def test_whatever_happens_after_a_run_nothing_hidden_is_in_any_mailbox(history: Collection[Any]) -> None:
    world = World()
    people = []
    for number, name in enumerate(("Anna Berg", "Ben Ohm", "Carl Uhl")):
        values: dict[str, Any] = {"mobilePhone": f"+49 170 111222{number}", "businessPhones": [f"+49 40 765432{number}"]}
        texts = {"officeLocation": f"Room-{number}-A", "jobTitle": f"Diver-{number}-B", "city": f"Sea-{number}-C"}
        people.append(world.hire(name, **values, **texts))
    await world.connect()
    await allow(world, *CardField)
    await world.run()
    hidden: dict[int, set[CardField]] = {}

    def shown(number: int) -> set[CardField]:
        texts = (f"111222{number}", f"765432{number}", f"Room-{number}-A", f"Diver-{number}-B", f"Sea-{number}-C")
        fields = (CardField.MOBILE_PHONE, CardField.BUSINESS_PHONES, CardField.OFFICE_LOCATION, CardField.JOB_TITLE)
        pairs = zip((*fields, CardField.BUSINESS_ADDRESS), texts, strict=True)
        return {field for field, text in pairs if showing(world, text)}

    for step in [*history, "resume"]:
        if isinstance(step, tuple):
            number, fields = step
            hidden[number] = fields
            await hides(world, people[number], *fields)
            continue
        if step == "undo":
            try:
                await undo(world.context, TENANT, (await world.last_run()).run)
            except InputError:
                continue
            await world.settle()
        elif step == "purge":
            await world.context.purge(TENANT, None)
            continue
        else:
            if step == "resume":
                await admin.resume_sync(world.context, TENANT, SYNC)
            await world.run()
        if (await world.last_run()).state is RunState.SUCCEEDED:
            for number in range(3):
                assert not shown(number) & hidden.get(number, set())
    for number in range(3):
        assert shown(number) == set(SHOWS) - hidden.get(number, set())


async def test_what_is_shown_again_while_a_sync_is_paused_comes_back_when_it_goes_on() -> None:
    world, anna = await with_anna()
    await admin.pause_sync(world.context, TENANT, SYNC)
    await hides(world, anna, "mobilePhone")
    await night(world)
    assert showing(world, "1112223") == 0
    await hides(world, anna)
    await admin.resume_sync(world.context, TENANT, SYNC)
    await night(world)
    assert showing(world, "1112223") == 3


@pytest.mark.parametrize("field", [CardField.MOBILE_PHONE, CardField.PHOTO])
async def test_an_undo_leaves_photos_as_they_are_that_nobody_hides(field: CardField) -> None:
    world = World()
    anna = world.hire("Anna Berg", **ANNA)
    world.tenant.set_photo(anna, 1)
    await world.connect({"photos": "240x240"})
    await allow(world, *CardField)
    await world.run()
    world.tenant.change_user(anna, {"department": "Regretted"})
    bad = await night(world)
    await hides(world, anna, field)
    await undo(world.context, TENANT, bad.run)
    await world.settle()
    [contact] = world.ours(anna)[f"u:{anna}"]
    assert (bool(contact.photo), contact.values["mobilePhone"] is None) == (
        field is not CardField.PHOTO,
        field is CardField.MOBILE_PHONE,
    )
    assert (await world.last_run()).counts.photos == (field is CardField.PHOTO), "none is written twice"
