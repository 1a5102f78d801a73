"""From a view of a calendar to events ready to be written: content, rules, windows, and what reads back equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
from sync_core.events import canonical, end_of, event_of, item_of, owned, read_back, written
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import EVENTS
from sync_core.occurrences import LONGEST_BODY, occurrence_of, origin_of
from sync_core.zones import in_utc, in_zone, windows_name

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
    assert (item.key, item.fingerprint) == ("e:k1.20261012", body["singleValueExtendedProperties"][1]["value"])
    return body


# --- content ---------------------------------------------------------------------------------------------------------


def test_an_event_has_all_that_a_person_would_see_and_nobody_to_mail() -> None:
    event = mapped(raw(), EventRules(attendees=True))
    assert event["subject"] == "Stand-up"
    assert event["start"] == {"dateTime": "2026-10-12T09:00:00", "timeZone": "W. Europe Standard Time"}
    assert event["end"] == {"dateTime": "2026-10-12T09:30:00", "timeZone": "W. Europe Standard Time"}
    assert event["location"] == {"displayName": "Linden 1"}
    assert event["categories"] == ["Berlin", "Team"]
    assert event["body"]["content"].split("\r\n") == [
        *("Agenda", "", "- news", "", "Organiser: Ada", "Attendees: Ben, Zoe"),
        *("Join: https://teams.example/join/1", "Open: https://outlook.example/item/1"),
    ]
    assert "attendees" not in event
    assert (event["isReminderOn"], event["isOnlineMeeting"], event["responseRequested"]) == (False, False, False)
    assert "@contoso" not in orjson.dumps(event).decode()
    told = event_of(occurrence_of(raw()), EventRules(attendees=True), prefix=None, category=None)
    assert event["singleValueExtendedProperties"] == [
        {"id": marks.KEY_PROPERTY, "value": "inst/s/e:k1.20261012"},
        {"id": marks.FINGERPRINT_PROPERTY, "value": FINGERPRINTER.of({**told, "body": event["body"]})},
    ]


@pytest.mark.parametrize(
    ("rules", "labels"),
    [
        ({}, ["Organiser", "Join", "Open"]),
        ({"attendees": True}, ["Organiser", "Attendees", "Join", "Open"]),
        ({"organizer": False}, ["Join", "Open"]),
        ({"join_link": False}, ["Organiser", "Open"]),
        ({"web_link": False}, ["Organiser", "Join"]),
        ({"organizer": False, "join_link": False, "web_link": False}, []),
    ],
)
def test_what_stands_below_the_text_can_be_switched_on_and_off(rules: dict[str, Any], labels: list[str]) -> None:
    text, _, below = mapped(raw(), EventRules.model_validate(rules))["body"]["content"].partition("news")
    assert text == "Agenda\r\n\r\n- "
    assert [line.partition(":")[0] for line in below.split("\r\n") if line] == labels


BERLIN, NEW_YORK = "W. Europe Standard Time", "Eastern Standard Time"


@pytest.mark.parametrize(
    ("moment", "zone", "clock", "written"),
    [
        ("2026-03-29T00:59:59", BERLIN, "2026-03-29T01:59:59", BERLIN),
        ("2026-03-29T01:00:00", BERLIN, "2026-03-29T03:00:00", BERLIN),
        ("2026-10-24T22:30:00", BERLIN, "2026-10-25T00:30:00", BERLIN),
        ("2026-10-25T00:30:00", BERLIN, "2026-10-25T00:30:00", "UTC"),  # half past two, for the first time
        ("2026-10-25T01:30:00", BERLIN, "2026-10-25T01:30:00", "UTC"),  # and again
        ("2026-10-25T02:00:00", BERLIN, "2026-10-25T03:00:00", BERLIN),
        ("2026-11-01T04:59:00", NEW_YORK, "2026-11-01T00:59:00", NEW_YORK),
        ("2026-11-01T05:30:00", NEW_YORK, "2026-11-01T05:30:00", "UTC"),
        ("2026-07-01T12:00:00", "Europe/Berlin", "2026-07-01T14:00:00", BERLIN),
        ("2026-07-01T12:00:00", "Asia/Kolkata", "2026-07-01T17:30:00", "India Standard Time"),
        ("2026-07-01T12:00:00", "Lord Howe Standard Time", "2026-07-01T22:30:00", "Lord Howe Standard Time"),
        ("2026-07-01T12:00:00", "tzone://Microsoft/Utc", "2026-07-01T12:00:00", "UTC"),
        ("2026-07-01T12:00:00", "tzone://Microsoft/Custom", "2026-07-01T12:00:00", "UTC"),
        ("2026-07-01T12:00:00", "Customized Time Zone", "2026-07-01T12:00:00", "UTC"),
        ("2026-07-01T12:00:00", None, "2026-07-01T12:00:00", "UTC"),
    ],
)
def test_times_are_written_as_the_clocks_show_them_where_the_event_was_made(
    moment: str, zone: str | None, clock: str, written: str
) -> None:
    times = {side: {"dateTime": f"{moment}.0000000", "timeZone": "UTC"} for side in ("start", "end")}
    event = mapped(raw(**times, originalStartTimeZone=zone, originalEndTimeZone=zone))
    assert event["start"] == event["end"] == {"dateTime": clock, "timeZone": written}
    assert not {"originalStartTimeZone", "originalEndTimeZone"} & event.keys()  # Graph takes neither


def test_a_flight_begins_and_ends_in_zones_of_their_own() -> None:
    event = mapped(raw(originalEndTimeZone=NEW_YORK))
    assert (event["start"]["timeZone"], event["end"]) == (BERLIN, {"dateTime": "2026-10-12T03:30:00", "timeZone": NEW_YORK})
    late = {"dateTime": "2026-10-25T01:30:00.0000000", "timeZone": "UTC"}
    event = mapped(raw(start=late, end=late, originalEndTimeZone=NEW_YORK))
    assert (event["start"]["timeZone"], event["end"]["timeZone"]) == ("UTC", "UTC")


def test_another_zone_alone_is_another_event() -> None:
    one, other = (
        event_of(occurrence_of(raw(originalStartTimeZone=zone)), RULES, prefix=None, category=None)
        for zone in ("Europe/Berlin", "Romance Standard Time")
    )
    assert FINGERPRINTER.differing(FINGERPRINTER.of(one), FINGERPRINTER.of(other)) == (
        *("originalStartTimeZone", "originalEndTimeZone"),
    )
    one, other = ({**one, "originalStartTimeZone": name} for name in ("Europe/Berlin", "W. Europe Standard Time"))
    assert FINGERPRINTER.of(one) == FINGERPRINTER.of(other)
    one, other = ({**one, "originalStartTimeZone": name} for name in ("tzone://Microsoft/Utc", None))
    assert FINGERPRINTER.of(one) == FINGERPRINTER.of(other)


@given(
    st.integers(0, 15 * 366 * 24 * 3600),
    st.sampled_from(["Europe/London", "America/St_Johns", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"]),
)
def test_every_moment_is_told_rightly_in_every_zone(seconds: int, zone: str) -> None:
    moment, name = (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()[:19], windows_name(zone)
    wall = in_zone(moment, name)
    if wall is not None:
        assert in_utc(wall, name) == moment
        assert zones.moment({"dateTime": wall, "timeZone": name}).replace(tzinfo=None).isoformat() == moment


def test_whole_days_keep_their_zone() -> None:
    event = mapped(all_day("2026-10-24", "2026-10-26"))
    assert event["start"] == {"dateTime": "2026-10-24T00:00:00", "timeZone": "W. Europe Standard Time"}
    assert event["end"]["dateTime"] == "2026-10-26T00:00:00"
    assert event["isAllDay"] is True
    for unusable in ("tzone://Microsoft/Custom", "Customized Time Zone", None):
        assert mapped({**all_day("2026-10-24", "2026-10-26"), "originalStartTimeZone": unusable})["start"]["timeZone"] == "UTC"


@pytest.mark.parametrize(
    ("start", "end", "zone", "days"),
    [
        ("2026-10-23T22:00:00", "2026-10-25T23:00:00", BERLIN, ("2026-10-24", "2026-10-26")),
        ("2026-10-24T04:00:00", "2026-10-25T04:00:00", NEW_YORK, ("2026-10-24", "2026-10-25")),
        ("2026-12-23T11:00:00", "2026-12-24T11:00:00", "New Zealand Standard Time", ("2026-12-24", "2026-12-25")),
        ("2026-12-24T12:00:00", "2026-12-25T12:00:00", "Dateline Standard Time", ("2026-12-24", "2026-12-25")),
        ("2026-10-23T22:00:00", "2026-10-24T22:00:00", "tzone://Microsoft/Custom", ("2026-10-24", "2026-10-25")),
        ("2026-10-24T04:00:00", "2026-10-25T11:59:59", "tzone://Microsoft/Custom", ("2026-10-24", "2026-10-25")),
        ("2026-10-23T12:00:00", "2026-10-25T00:00:00", "tzone://Microsoft/Custom", ("2026-10-24", "2026-10-25")),
        ("2026-12-24T00:00:00", "2026-12-25T00:00:00", "New Zealand Standard Time", ("2026-12-24", "2026-12-25")),
        ("2026-10-24T00:00:00", "2026-10-24T00:00:00", BERLIN, ("2026-10-24", "2026-10-25")),  # of no length
    ],
)
def test_days_that_come_shifted_by_their_zone_are_put_right(start: str, end: str, zone: str, days: tuple[str, str]) -> None:
    event = raw(isAllDay=True, start={"dateTime": start}, end={"dateTime": end}, originalStartTimeZone=zone)
    found = occurrence_of(event)
    assert (found["start"], found["end"]) == days


def test_an_event_without_an_end_ends_never() -> None:
    assert (end_of({}), end_of({"end": {}}), end_of({"end": {"dateTime": "2026-10-26T10:00:00"}})) == (
        *("", "", "2026-10-26T10:00:00"),
    )


def test_a_prefix_and_a_category_tell_the_source() -> None:
    event = mapped(raw(), prefix="[Room]", category="Linden")
    assert event["subject"] == "[Room] Stand-up"
    assert event["categories"] == ["Berlin", "Linden", "Team"]


def test_an_occurrence_has_all_of_its_properties_whatever_is_missing() -> None:
    assert occurrence_of({"id": "x"}) == {
        "start": "",
        "end": "",
        "zone": "UTC",
        "end_zone": "UTC",
        "subject": "",
        "text": "",
        "location": "",
        "showAs": "busy",
        "categories": [],
        "sensitivity": "normal",
        "organizer": "",
        "attendees": [],
        "response": "none",
        "cancelled": False,
        "join": "",
        "link": "",
    }
    assert occurrence_of(raw(onlineMeeting=None, onlineMeetingUrl="https://meet.example/1"))["join"] == "https://meet.example/1"
    whole = {**all_day("2026-10-24", "2026-10-26"), "originalEndTimeZone": NEW_YORK}
    assert (occurrence_of(whole)["zone"], occurrence_of(whole)["end_zone"]) == (BERLIN, BERLIN)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("\r\n\r\nAgenda\r\n \r\n\r\n  news \r\n\r\n", "Agenda\n\nnews"),
        ("\n".join(["line"] * 1600) + "\n" + "x" * 0, "\n".join(["line"] * 1600)),
        ("\n".join(["line"] * 1599) + "\nlines", "\n".join(["line"] * 1599) + "\nlines"),
        ("\n".join(["line"] * 1599) + "\nlines!", "\n".join(["line"] * 1599) + "\nlines …"),
        ("\n".join(["line"] * 1600) + "\nmore", "\n".join(["line"] * 1600) + " …"),
    ],
)
def test_what_becomes_of_a_text(content: str, text: str) -> None:
    assert occurrence_of(raw(body={"content": content}))["text"] == text


def test_an_event_without_a_text_begins_with_what_stands_below_it() -> None:
    content = mapped(raw(body=None))["body"]["content"]
    assert content.split("\r\n")[:2] == ["Organiser: Ada", "Join: https://teams.example/join/1"]
    assert mapped(raw())["body"]["contentType"] == "text"


@pytest.mark.parametrize(
    ("shown", "told"),
    [("free", "free"), ("oof", "oof"), ("workingElsewhere", "workingElsewhere"), ("unknown", "busy"), (None, "busy")],
)
def test_how_an_event_is_shown(shown: str | None, told: str) -> None:
    assert mapped(raw(showAs=shown))["showAs"] == told


@pytest.mark.parametrize(
    ("field", "value", "form"),
    [
        ("start", {"dateTime": "2026-10-12T07:00:00.0000000", "timeZone": "UTC"}, b"2026-10-12T07:00:00"),
        ("end", {"dateTime": "2026-10-12T07:30:59", "timeZone": "UTC"}, b"2026-10-12T07:30:59"),
        ("end", {"timeZone": "UTC"}, b""),
        ("originalStartTimeZone", "Europe/Berlin", b"W. Europe Standard Time"),
        ("originalEndTimeZone", "UTC-11", b"UTC-11"),
        ("originalEndTimeZone", "Etc/UTC", b""),
        ("body", {"contentType": "html", "content": " One\r\n two "}, b"One two"),
        ("location", {"displayName": " Linden  1", "locationType": "default"}, b"Linden 1"),
        ("categories", ["b", "a  c"], b"a c\nb"),
        ("subject", " One  two", b"One two"),
        ("isAllDay", True, b"True"),
        ("isAllDay", False, b""),
        ("reminderMinutesBeforeStart", 15, b"15"),
    ],
)
def test_the_form_in_which_fields_are_compared(field: str, value: object, form: bytes) -> None:
    assert canonical(field, value) == form


def test_an_empty_event_is_an_event() -> None:
    bare = {"id": "x", "start": raw()["start"], "end": raw()["end"]}
    event = mapped(bare)
    assert (event["subject"], event["body"]["content"], event["showAs"], event["sensitivity"]) == ("", "", "busy", "normal")


def test_long_bodies_are_cut() -> None:
    event = mapped(raw(body={"content": "word " * 10_000}))
    assert LONGEST_BODY < len(event["body"]["content"]) < LONGEST_BODY + 300


@pytest.mark.parametrize(("length", "told"), [(2_000, True), (2_001, False), (9_000, False)])
def test_a_link_is_told_in_full_or_not_at_all(length: int, told: bool) -> None:
    link = "https://x.example/" + "a" * (length - len("https://x.example/"))
    event = mapped(raw(webLink=link, onlineMeeting={"joinUrl": link}))
    below = event["body"]["content"].split("\r\n")[5:]
    assert below == [f"Join: {link}", f"Open: {link}"] * told


def test_a_link_of_blanks_is_none() -> None:
    assert occurrence_of(raw(webLink="  ", onlineMeeting=None))["link"] == ""


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
    assert origin_of(raw(originalStart=None, start=None)) == ("series-1", "")


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


# --- reading back ----------------------------------------------------------------------------------------------------


def shown_again(event: dict[str, Any]) -> dict[str, Any]:
    """The event as Graph shows it after it was written, with times in UTC and bodies as text."""
    values, _ = events_api.event_values({name: value for name, value in event.items() if name in EVENTS.fields})
    shown = {**values, "body": events_api.as_text(values["body"])}
    for side in ("start", "end"):
        at = zones.local(values[side]) if values["isAllDay"] else zones.moment(values[side])
        shown[side] = zones.shown(at, "UTC")
        shown[f"original{side.title()}TimeZone"] = values[side]["timeZone"]
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
    st.sampled_from(["W. Europe Standard Time", "America/New_York", "UTC", "tzone://Microsoft/Custom"]),
)
def test_what_reads_back_has_the_fingerprint_of_what_was_written(changed: dict[str, Any], whole_day: bool, zone: str) -> None:
    source = {**(all_day("2026-10-24", "2026-10-26") if whole_day else raw()), **changed, "originalStartTimeZone": zone}
    event = event_of(occurrence_of(source), RULES, prefix=None, category=None)
    shown = shown_again(written(event))
    assert FINGERPRINTER.of(shown) == FINGERPRINTER.of(event) == FINGERPRINTER.of(read_back(written(event)))
    assert end_of(shown) == end_of(event) == ("2026-10-26T00:00:00" if whole_day else "2026-10-12T07:30:00")
    assert read_back(written(event)) == event


def test_every_field_has_a_tag_of_its_own() -> None:
    before = event_of(occurrence_of(raw()), RULES, prefix=None, category=None)
    after = event_of(occurrence_of(raw(subject="Other")), RULES, prefix=None, category=None)
    assert FINGERPRINTER.differing(FINGERPRINTER.of(before), FINGERPRINTER.of(after)) == ("subject",)
    for name in before:
        assert FINGERPRINTER.of({**before, name: None}) != FINGERPRINTER.of(before) or not canonical(name, before[name])


def test_fingerprints_of_one_kind_say_nothing_to_the_other() -> None:
    contacts = Fingerprinter(b"a tenant's fingerprint key", "k1")
    assert not contacts.known(FINGERPRINTER.of(raw()))
