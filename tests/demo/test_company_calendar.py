"""The demo's calendars: that the checks notice what is wrong, and that the story is one in any week."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from local.demo import calendar_checks as checks
from local.demo import company_calendar
from local.demo.clients import Json, StageHand
from local.demo.company_calendar import Plot

BERLIN = ZoneInfo("Europe/Berlin")
AT_TEN = time(10)


def event(key: str, start: str, subject: str = "All hands", *, hours: int = 1, sensitivity: str = "normal") -> Json:
    begins = datetime.fromisoformat(start)
    return {
        "id": key,
        "subject": subject,
        "isAllDay": False,
        "start": {"dateTime": f"{begins:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"},
        "end": {"dateTime": f"{begins + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"},
        "location": {"displayName": "Auditorium"},
        "showAs": "busy",
        "sensitivity": sensitivity,
    }


# the clocks of Berlin change on 25 October 2026
EVENTS = [event("a", "2026-10-20T08:00"), event("b", "2026-10-27T09:00")]


def test_all_is_well() -> None:
    wanted = [checks.mirrored(event) for event in EVENTS]
    assert not checks.check_mirrors("m", {"m": EVENTS}, wanted).wrong
    assert not checks.check_wall_time({"m": EVENTS}, "All hands", AT_TEN, BERLIN).wrong
    assert not checks.check_secret({"m": EVENTS}, "Interview").wrong
    assert not checks.check_own({"m": [("a", "1")]}, {"m": [("a", "1")]}).wrong
    assert not checks.check_mails(3, [{}, {}]).wrong
    assert not checks.check_cost(
        "c", {"counts": {"created": 1, "updated": 2, "deleted": 0}}, created=1, updated=2, deleted=0
    ).wrong


def spoilt(change: Any) -> list[Json]:
    events = deepcopy(EVENTS)
    change(events)
    return events


@pytest.mark.parametrize(
    "change",
    [
        lambda events: events.pop(),
        lambda events: events.append(deepcopy(events[0])),
        lambda events: events[0].update(subject="Other"),
        lambda events: events[0]["start"].update(dateTime="2026-10-20T09:00:00.0000000"),
        lambda events: events[0].update(showAs="free"),
        lambda events: events[0]["location"].update(displayName="Elsewhere"),
    ],
)
def test_a_mirror_that_differs_is_noticed(change: Any) -> None:
    wanted = [checks.mirrored(event) for event in EVENTS]
    assert "mailbox m " in checks.check_mirrors("m", {"m": spoilt(change)}, wanted).wrong


def test_nothing_to_compare_is_not_well() -> None:
    assert checks.check_mirrors("m", {}, [checks.mirrored(EVENTS[0])]).wrong
    assert checks.check_mirrors("m", {"m": []}, []).wrong
    assert checks.check_mails(0, [{}]).wrong, "a counter that counts nothing proves nothing"


def test_other_times_secrets_mails_and_costs_are_noticed() -> None:
    assert checks.check_wall_time({"m": [EVENTS[0], event("b", "2026-10-27T08:00")]}, "All hands", AT_TEN, BERLIN).wrong
    assert checks.check_wall_time({"m": EVENTS[:1]}, "All hands", AT_TEN, BERLIN).wrong
    assert checks.check_secret({"m": [event("a", "2026-10-20T08:00", "Interview")]}, "Interview").wrong
    assert checks.check_own({"m": [("a", "1")]}, {"m": [("a", "2")]}).wrong
    assert checks.check_mails(3, [{}, {"updates": 1}]).wrong
    assert checks.check_cost("c", {"counts": {"created": 1, "updated": 0, "deleted": 0}}, created=0, updated=0, deleted=0).wrong


def test_what_is_private_keeps_its_time_only() -> None:
    entry = checks.mirrored(event("a", "2026-10-20T08:00", "Interview", sensitivity="private"), "[Room]")
    assert (entry.subject, entry.place, entry.start) == ("[Room] Busy", "", "2026-10-20T08:00:00")


def test_what_became_of_each_event_is_told_in_local_time() -> None:
    moved = event("b", "2026-10-26T15:00")
    later = [event("a", "2026-10-20T10:00"), moved]  # as Graph shows it in Berlin
    lines = checks.compare([*EVENTS, event("c", "2026-10-28T09:00")], later, BERLIN)
    assert [(line.event["id"], line.note) for line in lines] == [("a", ""), ("b", "was Tue 10:00"), ("c", "cancelled")]
    told = checks.across_change(EVENTS, "All hands", BERLIN)
    assert "Tue 20 Oct 2026 10:00 (08:00 UTC) and on Tue 27 Oct 2026 10:00 (09:00 UTC)" in told
    assert "do not change" in checks.across_change(EVENTS[:1], "All hands", BERLIN)


class Stage(StageHand):
    """Notes what is staged."""

    def __init__(self) -> None:
        self.done: list[Json] = []

    def directory(self, *operations: Json) -> list[str]:
        return [str(number) for number, _ in enumerate(operations)]

    def phone(self, _user: str, *operations: Json) -> list[str]:
        self.done += operations
        return [str(number) for number, _ in enumerate(operations)]


@pytest.mark.parametrize("day", range(7))
def test_the_story_lies_after_tomorrow_and_in_the_window_on_every_day_of_the_week(day: int) -> None:
    now = datetime(2026, 11, 16, 23, 30, tzinfo=UTC) + timedelta(days=day)
    hand = Stage()
    plot = company_calendar.stage_calendars(hand, ["ann@contoso.example"], now)
    assert plot.monday.weekday() == 0
    assert timedelta(days=1) < plot.monday - now.date() <= timedelta(days=8)
    series = next(act["values"] for act in hand.done if act.get("values", {}).get("recurrence"))
    first = date.fromisoformat(series["recurrence"]["range"]["startDate"])
    assert (plot.meeting - first).days % 7 == 0
    begin, end = company_calendar.window(now)
    next_end = end + timedelta(days=1)
    entering = datetime.fromisoformat(hand.done[5]["values"]["start"]["dateTime"]).replace(tzinfo=BERLIN)
    leaving = datetime.fromisoformat(hand.done[4]["values"]["end"]["dateTime"]).replace(tzinfo=BERLIN)
    assert end <= entering < next_end
    assert begin < leaving <= begin + timedelta(days=1)


@pytest.mark.parametrize("day", [date(2026, 3, 30), date(2026, 10, 26), date(2027, 1, 1)])
def test_there_is_a_change_of_clocks_in_every_window(day: date) -> None:
    start, end = company_calendar.window(datetime.combine(day, AT_TEN, UTC))
    assert len({(start + timedelta(days=days)).astimezone(BERLIN).utcoffset() for days in range((end - start).days)}) == 2


def test_the_definition_is_one_that_the_app_takes() -> None:
    from sync_core.definition import SyncDefinition

    ids = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002")
    definition = SyncDefinition.model_validate(company_calendar.definition(Plot(*ids, "series", date(2026, 11, 30))))
    assert definition.event_rules.days_ahead == company_calendar.DAYS_AHEAD
