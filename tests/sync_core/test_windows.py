"""From a view of a calendar to events ready to be written: content, rules, windows, and what reads back equal."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sync_core.event_rules import EventRules
from sync_core.windows import FORESEEN, Window

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
    rules = EventRules(days_back=2, days_ahead=3)
    assert rules.window(datetime(2026, 10, 31, tzinfo=UTC)) == Window(date(2026, 10, 29), date(2026, 11, 3))
    morning, night = (Window.around(datetime(2026, 10, 31, hour, tzinfo=UTC), days_back=30, days_ahead=1) for hour in (0, 23))
    assert morning == night == Window(date(2026, 10, 1), date(2026, 11, 1))
    assert all(map(WINDOW.is_past, ("2026-10-01", "2026-10-01T00:00:00")))
    assert not WINDOW.is_past("2026-10-01T00:00:01")


SPANS = [
    ("2026-09-30T10:00:00", "2026-10-01T00:00:01"),
    ("2026-10-01T00:00:00", "2026-10-01T00:00:00"),
    ("2026-10-01T10:00:00", "2026-10-01T11:00:00"),
    ("2026-09-20", "2026-10-02"),
    ("2026-10-01T23:00:00", "2026-10-02T00:00:00"),
    ("2026-10-01T23:00:00", "2026-10-02T00:00:01"),
    ("2026-10-02T00:00:00", "2026-10-02T00:00:00"),
    ("2026-10-01T23:00:00", "2026-12-30T00:00:00"),
    ("2026-10-01T23:00:00", "2026-12-30T00:00:01"),
    ("2026-10-01", "2031-01-01"),
]


@pytest.mark.parametrize("days", [0, 1, 2, 30, 89, 90, 91, 400])
def test_what_a_window_leaves_behind_is_known_before(days: int) -> None:
    later = Window(WINDOW.first + timedelta(days=days), WINDOW.last + timedelta(days=days))
    departures = WINDOW.departures(SPANS)
    assert len(departures) == FORESEEN == 90
    known = min(days, FORESEEN)
    foreseen = Window(WINDOW.first + timedelta(days=known), date(2040, 1, 1))
    assert later.left_behind(departures, WINDOW.first) == sum(not foreseen.holds(*span) for span in SPANS)


def test_a_window_that_reaches_further_back_has_left_nothing_behind() -> None:
    earlier = Window(date(2026, 9, 1), date(2026, 11, 1))
    assert earlier.left_behind(WINDOW.departures(SPANS), WINDOW.first) == 0
