"""Syncs of calendars over HTTP: what is wrong is said in the caller's words, and the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Client
from tests.engine.rooms import SYNC, TEAM, Rooms

GROUP = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
NOBODY = "aaaaaaaa-bbbb-4ccc-8ddd-ffffffffffff"


@pytest.fixture
def world() -> Rooms:
    world = Rooms()
    world.tenant.directory.groups.add({"id": GROUP, "displayName": "Group"})
    return world


def definition(*sources: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"name": "Rooms", "folder": TEAM, "schedule": {"kind": "manual"}, "sources": list(sources), **values}


async def create(admin: Client, *sources: dict[str, Any], **values: Any) -> Any:
    return await admin("POST", "syncs", {"sync": SYNC, "definition": definition(*sources, **values)})


@pytest.mark.parametrize(
    ("values", "field", "problem"),
    [
        ({"events": {"days_ahead": 1096}}, "definition.events.days_ahead", "less than or equal to 1095"),
        ({"events": {"days_back": 366}}, "definition.events.days_back", "less than or equal to 365"),
        ({"events": {"days_ahead": 0}}, "definition.events.days_ahead", "greater than or equal to 1"),
        ({"events": {"color": "pink"}}, "definition.events.color", "lightPink"),
        ({"events": {"web_link": "perhaps"}}, "definition.events.web_link", "boolean"),
        ({"events": {"private": "hide"}}, "definition.events.private", "'skip', 'busy' or 'full'"),
        ({"folder": None}, "definition.sources", "events never go among the user's own"),
        ({"photos": "240x240"}, "definition.photos", "is for people"),
        ({"sources": [{"kind": "calendar", "mailbox": "room"}]}, "definition.sources.0.mailbox", "UUID"),
        ({"sources": [{"kind": "calendar"}]}, "definition.sources.0.mailbox", "required"),
        (
            {"sources": [{"kind": "calendar", "mailbox": NOBODY}, {"kind": "directory"}]},
            *("definition.sources", "calendars or people, not both"),
        ),
    ],
)
async def test_a_definition_that_makes_no_sense_is_refused_by_field(
    admin: Client, world: Rooms, values: dict[str, Any], field: str, problem: str
) -> None:
    answer = await create(admin, **{"sources": [world.source()], **values})
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, [field])
    assert problem in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("mailbox", "calendar", "problem"),
    [
        ("room", "Nowhere", "the mailbox has no calendar of this name"),
        (NOBODY, "default", "there is no such mailbox"),
        (GROUP, "default", "this is a group: apps cannot read group calendars"),
        ("outside", "default", "outside the app's access scope"),
        ("deserted", "default", "the user has no mailbox in Exchange Online"),
    ],
)
async def test_a_calendar_that_cannot_be_read_says_why_and_the_others_go_on(
    admin: Client, world: Rooms, mailbox: str, calendar: str, problem: str
) -> None:
    reader = world.hire("Reader One")
    mailboxes = {
        "room": world.room,
        "outside": world.hire("Out Side", mailbox="outOfScope"),
        "deserted": world.hire("No Mailbox", mailbox="none"),
    }
    wrong = {"kind": "calendar", "mailbox": mailboxes.get(mailbox, mailbox), "calendar": calendar}
    world.book("Workshop", "2026-11-05T10:00:00")
    assert (await create(admin, wrong, targets={"include": [reader]})).status == 201
    held = await run(admin, world)
    assert (held["state"], held["reason"]) == ("held", "source_unreadable")
    assert problem in held["detail"]
    previewed = await admin("POST", f"syncs/{SYNC}/preview", {})
    assert problem in previewed.json["holds"][0]["detail"]
    both = definition(world.source(), wrong, targets={"include": [reader]})
    assert (await admin("PUT", f"syncs/{SYNC}", both, If_Match="*")).status == 200
    partial = await run(admin, world)
    assert (partial["state"], partial["counts"]["created"]) == ("partial", 1)
    assert problem in partial["source_problem"]
    assert world.subjects(reader) == ["Workshop"]


async def run(admin: Client, world: Rooms) -> Any:
    started = await admin("POST", f"syncs/{SYNC}/runs", {})
    assert started.status == 202
    await world.settle()
    return (await admin("GET", f"runs/{started.json['run']}")).json


@pytest.mark.parametrize("which", ["nobody", "group", "outside", "deserted"])
async def test_the_calendars_of_a_mailbox_that_cannot_be_read_are_not_listed(admin: Client, world: Rooms, which: str) -> None:
    mailboxes = {
        "nobody": NOBODY,
        "group": GROUP,
        "outside": world.hire("Out Side", mailbox="outOfScope"),
        "deserted": world.hire("No Mailbox", mailbox="none"),
    }
    answer = await admin("GET", f"directory/mailboxes/{mailboxes[which]}/calendars")
    assert answer.status in (404, 409, 422), answer.raw
