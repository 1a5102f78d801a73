"""From a view of a calendar to events ready to be written: content, rules, windows, and what reads back equal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.m365.calendars import events_api, zones
from sync_core import marks
from sync_core.definition import parse
from sync_core.errors import InputError
from sync_core.event_rules import EventRules
from sync_core.events import canonical, end_of, event_of, item_of, owned
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import EVENTS
from sync_core.occurrences import LONGEST_BODY, occurrence_of, origin_of
from sync_core.windows import Window

RULES = EventRules()
FINGERPRINTER = Fingerprinter(b"a tenant's fingerprint key", "k1", kind=EVENTS)


def person(name: str) -> dict[str, Any]:
    return {"emailAddress": {"name": name, "address": f"{name.lower()}@contoso.example"}}


def raw(**changed: Any) -> dict[str, Any]:
    """An occurrence as a view shows it."""
    return {
        "id": "occurrence-1",
        "type": "occurrence",
        "seriesMasterId": "series-1",
        "originalStart": "2026-10-12T07:00:00Z",
        "originalStartTimeZone": "W. Europe Standard Time",
        "subject": "Stand-up",
        "body": {"contentType": "text", "content": "Agenda\r\n\r\n\r\n- news\r\n"},
        "start": {"dateTime": "2026-10-12T07:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-10-12T07:30:00.0000000", "timeZone": "UTC"},
        "isAllDay": False,
        "location": {"displayName": "Linden 1", "locationType": "default"},
        "showAs": "busy",
        "categories": ["Team", "Berlin"],
        "sensitivity": "normal",
        "organizer": person("Ada"),
        "attendees": [person("Zoe"), person("Ben")],
        "responseStatus": {"response": "accepted"},
        "onlineMeeting": {"joinUrl": "https://teams.example/join/1"},
        "webLink": "https://outlook.example/item/1",
        **changed,
    }


def all_day(first: str, end: str, zone: str = "W. Europe Standard Time") -> dict[str, Any]:
    times = [{"dateTime": f"{day}T00:00:00.0000000", "timeZone": "UTC"} for day in (first, end)]
    return raw(isAllDay=True, start=times[0], end=times[1], originalStartTimeZone=zone)


def mapped(of: dict[str, Any], rules: EventRules = RULES, **source: str) -> dict[str, Any]:
    item = item_of(
        occurrence_of(of), key="e:k1.20261012", installation="inst", sync="s", fingerprinter=FINGERPRINTER, rules=rules, **source
    )
    body: dict[str, Any] = orjson.loads(item.body)
    return body


# --- content ---------------------------------------------------------------------------------------------------------


def test_an_event_has_all_that_a_person_would_see_and_nobody_to_mail() -> None:
    event = mapped(raw(), EventRules(attendees=True))
    assert event["subject"] == "Stand-up"
    assert event["start"] == {"dateTime": "2026-10-12T07:00:00", "timeZone": "UTC"}
    assert event["location"] == {"displayName": "Linden 1"}
    assert event["categories"] == ["Berlin", "Team"]
    assert event["body"]["content"].split("\r\n") == [
        *("Agenda", "", "- news", "", "Organiser: Ada", "Attendees: Ben, Zoe"),
        *("Join: https://teams.example/join/1", "Open: https://outlook.example/item/1"),
    ]
    assert "attendees" not in event
    assert (event["isReminderOn"], event["isOnlineMeeting"], event["responseRequested"]) == (False, False, False)
    assert "@contoso" not in orjson.dumps(event).decode()
    assert event["singleValueExtendedProperties"][0] == {"id": marks.KEY_PROPERTY, "value": "inst/s/e:k1.20261012"}


def test_attendees_are_told_only_on_demand() -> None:
    assert "Attendees" not in mapped(raw())["body"]["content"]


def test_whole_days_keep_their_zone() -> None:
    event = mapped(all_day("2026-10-24", "2026-10-26"))
    assert event["start"] == {"dateTime": "2026-10-24T00:00:00", "timeZone": "W. Europe Standard Time"}
    assert event["end"]["dateTime"] == "2026-10-26T00:00:00"
    assert event["isAllDay"] is True
    for unusable in ("tzone://Microsoft/Custom", "Customized Time Zone", None):
        assert mapped({**all_day("2026-10-24", "2026-10-26"), "originalStartTimeZone": unusable})["start"]["timeZone"] == "UTC"


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-10-23T22:00:00", "2026-10-25T22:00:00", ("2026-10-24", "2026-10-26")),  # made in Berlin
        ("2026-10-24T04:00:00", "2026-10-25T04:00:00", ("2026-10-24", "2026-10-25")),  # made in New York
        ("2026-10-24T00:00:00", "2026-10-24T00:00:00", ("2026-10-24", "2026-10-25")),  # of no length
    ],
)
def test_days_that_come_shifted_by_their_zone_are_put_right(start: str, end: str, days: tuple[str, str]) -> None:
    event = raw(isAllDay=True, start={"dateTime": start}, end={"dateTime": end})
    found = occurrence_of(event)
    assert (found["start"], found["end"]) == days


def test_a_prefix_and_a_category_tell_the_source() -> None:
    event = mapped(raw(), prefix="[Room]", category="Linden")
    assert event["subject"] == "[Room] Stand-up"
    assert event["categories"] == ["Berlin", "Linden", "Team"]


def test_an_empty_event_is_an_event() -> None:
    bare = {"id": "x", "start": raw()["start"], "end": raw()["end"]}
    event = mapped(bare)
    assert (event["subject"], event["body"]["content"], event["showAs"], event["sensitivity"]) == ("", "", "busy", "normal")


def test_long_bodies_are_cut() -> None:
    event = mapped(raw(body={"content": "word " * 10_000}))
    assert LONGEST_BODY < len(event["body"]["content"]) < LONGEST_BODY + 300


def test_reminders_are_owned_only_when_asked_for() -> None:
    event = mapped(raw(), EventRules(reminder_minutes=10))
    assert (event["isReminderOn"], event["reminderMinutesBeforeStart"]) == (True, 10)
    assert "reminderMinutesBeforeStart" not in owned(RULES)
    assert "reminderMinutesBeforeStart" in owned(EventRules(reminder_minutes=10))


def test_occurrences_are_known_by_series_and_day() -> None:
    assert origin_of(raw()) == ("series-1", "20261012")
    assert origin_of(raw(type="exception", start={"dateTime": "2026-10-20T12:00:00"})) == ("series-1", "20261012")
    assert origin_of(raw(seriesMasterId=None)) == ("occurrence-1", "")
    assert origin_of(raw(originalStart=None)) == ("series-1", "20261012")


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "rules", "kept"),
    [
        ({"isCancelled": True}, {}, False),
        ({"sensitivity": "private"}, {"private": "skip"}, False),
        ({"sensitivity": "confidential"}, {"private": "skip"}, False),
        ({"sensitivity": "private"}, {}, True),
        ({"showAs": "free"}, {"free": "skip"}, False),
        ({"showAs": "free"}, {}, True),
        ({"showAs": "tentative"}, {"tentative": "skip"}, False),
        ({"showAs": "tentative"}, {}, True),
        ({"responseStatus": {"response": "declined"}}, {}, False),
        ({"responseStatus": {"response": "declined"}}, {"declined": "keep"}, True),
        ({}, {"categories_in": ["TEAM"]}, True),
        ({}, {"categories_in": ["Paris"]}, False),
        ({}, {"categories_out": ["team", "x"]}, False),
        ({"categories": []}, {"categories_in": ["Team"]}, False),
    ],
)
def test_which_events_are_mirrored(changed: dict[str, Any], rules: dict[str, Any], kept: bool) -> None:
    assert EventRules.model_validate(rules).mirrors(occurrence_of(raw(**changed))) is kept


@pytest.mark.parametrize(
    ("rules", "sensitivity", "subject"),
    [({"subject": "Taken"}, "normal", "Taken"), ({}, "private", "Busy"), ({"subject": "Taken"}, "private", "Taken")],
)
def test_what_is_hidden_is_hidden_wholly(rules: dict[str, Any], sensitivity: str, subject: str) -> None:
    event = mapped(raw(sensitivity=sensitivity), EventRules.model_validate(rules | {"attendees": True}))
    assert (event["subject"], event["body"]["content"], event["location"]) == (subject, "", {"displayName": ""})
    assert event["categories"] == []
    text = orjson.dumps(event).decode()
    assert not any(secret in text for secret in ("Stand-up", "Linden", "Ada", "Zoe", "teams", "outlook.example"))


def test_private_events_are_told_in_full_where_that_is_wanted() -> None:
    event = mapped(raw(sensitivity="private"), EventRules(private="full"))
    assert (event["subject"], event["sensitivity"]) == ("Stand-up", "private")


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"days_back": -1}, "days_back"),
        ({"days_ahead": 1096}, "days_ahead"),
        ({"private": "maybe"}, "private"),
        ({"subject": " "}, "subject"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_rules_name_their_field(rules: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(EventRules, rules)
    assert refused.value.field == field


# --- windows ---------------------------------------------------------------------------------------------------------

WINDOW = Window(date(2026, 10, 1), date(2026, 11, 1))


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        ("2026-09-30T23:00:00", "2026-10-01T00:00:00", False),
        ("2026-09-30T23:00:00", "2026-10-01T00:00:01", True),
        ("2026-10-01T00:00:00", "2026-10-01T00:00:00", True),
        ("2026-10-31T23:59:00", "2026-11-02T00:00:00", True),
        ("2026-11-01T00:00:00", "2026-11-01T00:00:00", False),
        ("2026-09-30", "2026-10-01", False),
        ("2026-09-30", "2026-10-02", True),
        ("2026-10-31", "2026-11-01", True),
        ("2026-11-01", "2026-11-02", False),
        ("2026-01-01", "2027-01-01", True),
    ],
)
def test_what_lies_in_a_window(start: str, end: str, inside: bool) -> None:
    assert WINDOW.holds(start, end) is inside


def test_the_window_is_that_of_the_day() -> None:
    morning, night = (Window.around(datetime(2026, 10, 31, hour, tzinfo=UTC), days_back=30, days_ahead=1) for hour in (0, 23))
    assert morning == night == Window(date(2026, 10, 1), date(2026, 11, 1))
    assert all(map(WINDOW.is_past, ("2026-10-01", "2026-10-01T00:00:00")))
    assert not WINDOW.is_past("2026-10-01T00:00:01")


# --- reading back ----------------------------------------------------------------------------------------------------


def read_back(event: dict[str, Any]) -> dict[str, Any]:
    """The event as Graph shows it again, with times in UTC and bodies as text."""
    values, _ = events_api.event_values({name: value for name, value in event.items() if name in EVENTS.fields})
    shown = {**values, "body": events_api.as_text(values["body"])}
    for side in ("start", "end"):
        at = zones.local(values[side]) if values["isAllDay"] else zones.moment(values[side])
        shown[side] = zones.shown(at, "UTC")
    return shown


text = st.text(st.characters(codec="utf-8"), max_size=40)


@given(
    st.fixed_dictionaries(
        {
            "subject": text,
            "body": st.builds(lambda content: {"contentType": "text", "content": content}, text),
            "location": st.builds(lambda name: {"displayName": name}, text),
            "categories": st.lists(text, max_size=3),
            "showAs": st.sampled_from(["free", "busy", "oof", "unknown"]),
            "sensitivity": st.sampled_from(["normal", "private"]),
        }
    ),
    st.booleans(),
)
def test_what_reads_back_has_the_fingerprint_of_what_was_written(changed: dict[str, Any], whole_day: bool) -> None:
    source = {**(all_day("2026-10-24", "2026-10-26") if whole_day else raw()), **changed}
    event = event_of(occurrence_of(source), RULES, prefix=None, category=None)
    assert FINGERPRINTER.of(read_back(event)) == FINGERPRINTER.of(event)
    assert end_of(read_back(event)) == end_of(event)


def test_every_field_has_a_tag_of_its_own() -> None:
    before = event_of(occurrence_of(raw()), RULES, prefix=None, category=None)
    after = event_of(occurrence_of(raw(subject="Other")), RULES, prefix=None, category=None)
    assert FINGERPRINTER.differing(FINGERPRINTER.of(before), FINGERPRINTER.of(after)) == ("subject",)
    for name in before:
        assert FINGERPRINTER.of({**before, name: None}) != FINGERPRINTER.of(before) or not canonical(name, before[name])


def test_fingerprints_of_one_kind_say_nothing_to_the_other() -> None:
    contacts = Fingerprinter(b"a tenant's fingerprint key", "k1")
    assert not contacts.known(FINGERPRINTER.of(raw()))
