from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from sync_core.definition import parse
from sync_core.errors import InputError
from sync_core.schedules import DAYS, Manual, Schedule, next_after


class Definition(BaseModel):
    """Something that holds a schedule, as a sync does."""

    schedule: Schedule = Manual(kind="manual")


def schedule(**values: Any) -> Schedule:
    return parse(Definition, {"schedule": values}).schedule


def daily(at: str, zone: str, spread: int = 0) -> Schedule:
    return schedule(kind="daily", at=at, time_zone=zone, spread_minutes=spread)


def weekly(at: str, zone: str, *days: str, spread: int = 0) -> Schedule:
    return schedule(kind="weekly", at=at, time_zone=zone, days=days, spread_minutes=spread)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(of: Schedule, start: str, count: int, seed: str = "") -> list[str]:
    found: list[str] = []
    now = utc(start)
    for _ in range(count):
        following = next_after(of, now, spread_seed=seed)
        assert following is not None
        now = following
        found.append(now.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00"))
    return found


# --- examples -----------------------------------------------------------------------------------------------------------


def test_a_manual_schedule_never_comes() -> None:
    assert next_after(schedule(kind="manual"), utc("2026-01-01"), spread_seed="x") is None


def test_a_local_time_moves_in_utc_with_the_clocks() -> None:
    berlin = daily("02:30", "Europe/Berlin")
    # 29 March 2026 has no 02:30: the clocks go from 02:00 (01:00 UTC) to 03:00
    assert runs(berlin, "2026-03-27 12:00", 4) == ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30", "2026-03-31 00:30"]
    # 25 October 2026 has 02:30 twice
    assert runs(berlin, "2026-10-23 12:00", 4) == ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30", "2026-10-27 01:30"]


@pytest.mark.parametrize(
    ("at", "zone", "start", "expected"),
    [
        ("02:00", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 01:00"),
        ("02:59", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 01:00"),
        ("03:00", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 01:00"),
        ("01:59", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 00:59"),
        ("02:10", "Australia/Lord_Howe", "2026-10-03 00:00", "2026-10-03 15:30"),  # half an hour
        ("00:30", "America/Havana", "2026-03-07 12:00", "2026-03-08 05:00"),  # a day that begins at one
        ("23:30", "America/Nuuk", "2026-03-28 12:00", "2026-03-29 01:00"),  # a gap that ends the day
        ("12:00", "Pacific/Apia", "2011-12-30 00:00", "2011-12-30 10:00"),  # a day that never was
        ("12:00", "Pacific/Apia", "2011-12-30 10:00", "2011-12-30 22:00"),
        ("00:00", "UTC", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("23:59", "Pacific/Kiritimati", "2026-01-01 09:58", "2026-01-01 09:59"),
        ("00:01", "Pacific/Niue", "2026-01-01 11:00", "2026-01-01 11:01"),
        ("23:30", "Pacific/Niue", "2026-01-03 10:00", "2026-01-03 10:30"),
    ],
)
def test_odd_clocks(at: str, zone: str, start: str, expected: str) -> None:
    assert runs(daily(at, zone), start, 1) == [expected]


def test_days_of_the_week_are_local_ones() -> None:
    auckland = weekly("01:00", "Pacific/Auckland", "monday", "thursday")
    assert runs(auckland, "2026-06-01 00:00", 3) == ["2026-06-03 13:00", "2026-06-07 13:00", "2026-06-10 13:00"]
    assert runs(weekly("09:00", "UTC", "sunday"), "2026-11-22 09:00", 2) == ["2026-11-29 09:00", "2026-12-06 09:00"]


def test_whatever_was_missed_comes_once() -> None:
    nightly = daily("02:30", "UTC")
    due = next_after(nightly, utc("2026-01-01 12:00"), spread_seed="")
    assert due == utc("2026-01-02 02:30")
    # The worker was away for five days: it starts the sync, late, and asks for the time after now
    assert next_after(nightly, utc("2026-01-07 02:29"), spread_seed="") == utc("2026-01-07 02:30")


def test_the_spread_is_that_of_the_sync_and_stays() -> None:
    nightly = daily("02:30", "Europe/Berlin", 30)
    assert runs(nightly, "2026-01-01 12:00", 2, "tenant/sync") == ["2026-01-02 01:57:45", "2026-01-03 01:57:45"]
    assert runs(schedule(kind="hourly", hours=6), "2026-01-01", 3, "tenant/sync") == [
        "2026-01-01 02:57:45",
        "2026-01-01 08:57:45",
        "2026-01-01 14:57:45",
    ]


def test_tenants_are_spread_evenly() -> None:
    nightly, start = daily("02:30", "UTC", 30), utc("2026-01-01")
    delays = [next_after(nightly, start, spread_seed=f"tenant {number}") - utc("2026-01-01 02:30") for number in range(3000)]  # type: ignore[operator]  # None only for manual
    assert min(delays) >= timedelta(0)
    assert max(delays) < timedelta(minutes=30)
    for minute in range(30):
        assert 50 < sum(timedelta(minutes=minute) <= delay < timedelta(minutes=minute + 1) for delay in delays) < 150


def test_without_a_spread_all_start_on_time() -> None:
    assert {runs(daily("02:30", "UTC"), "2026-01-01", 1, seed)[0] for seed in ("a", "b", "c")} == {"2026-01-01 02:30"}


# --- properties ---------------------------------------------------------------------------------------------------------

zones = st.sampled_from(sorted(available_timezones()))
times = st.times().map(lambda at: at.strftime("%H:%M"))
instants = st.datetimes(datetime(1972, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it naive
TURNING = [
    ("Europe/Berlin", datetime(2026, 3, 28, 22, 0, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 3, 0, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 3, 0, tzinfo=UTC)),
    ("America/Nuuk", datetime(2026, 3, 28, 22, 0, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 14, 23, 0, tzinfo=UTC)),
]
turning_points = st.sampled_from(TURNING).flatmap(
    lambda point: st.tuples(st.just(point[0]), st.integers(-30, 30).map(lambda hours: point[1] + timedelta(hours=hours)))
)
places = st.tuples(zones, instants) | turning_points


def first_time_shown(at: time, zone: ZoneInfo, now: datetime) -> datetime:
    """By patience: watch the local clock, minute by minute, until it passes a day's `at` that it had not passed before."""
    clock = now.replace(second=0, microsecond=0) - timedelta(hours=30)
    latest = clock.astimezone(zone).replace(tzinfo=None)
    while True:
        clock += timedelta(minutes=1)
        shown = clock.astimezone(zone).replace(tzinfo=None)
        if shown <= latest:
            continue  # set back: all this was shown before
        day = latest.date()
        while day <= shown.date():
            if latest < datetime.combine(day, at) <= shown and clock > now:
                return clock
            day += timedelta(days=1)
        latest = shown


@given(places, times)
@example(("Europe/Berlin", utc("2026-03-29 00:59:30")), "02:30")
@example(("Europe/Berlin", utc("2026-10-25 00:30")), "02:30")
def test_a_run_comes_when_the_local_clock_first_shows_the_time(place: tuple[str, datetime], at: str) -> None:
    zone, now = place
    assert next_after(daily(at, zone), now, spread_seed="") == first_time_shown(time.fromisoformat(at), ZoneInfo(zone), now)


@given(places, times, st.sets(st.sampled_from(DAYS), min_size=1), st.integers(0, 240), st.text(max_size=3))
def test_runs_are_strictly_later_and_as_many_as_days(
    place: tuple[str, datetime], at: str, days: set[str], spread: int, seed: str
) -> None:
    zone, now = place
    of = weekly(at, zone, *days, spread=spread)
    plain = weekly(at, zone, *days)
    found = []
    for _ in range(len(days) + 1):
        following = next_after(of, now, spread_seed=seed)
        assert following is not None
        assert following > now
        assert following.tzinfo is UTC
        # Nothing lies in between: asked at any time until then, the answer is the same
        assert next_after(of, following - timedelta(microseconds=1), spread_seed=seed) == following
        # It is the time without spread, or later by less than the spread
        on_time = next_after(plain, following - timedelta(minutes=spread, microseconds=1), spread_seed=seed)
        assert on_time is not None
        assert timedelta(0) <= following - on_time <= timedelta(minutes=spread)
        found.append(following)
        now = following
    # A week later it is the same day's turn again, but for the clocks
    assert timedelta(days=5) < found[-1] - found[0] < timedelta(days=8)


@given(instants, st.integers(1, 168), st.text(max_size=3))
def test_hours_are_regular(now: datetime, hours: int, seed: str) -> None:
    of, every = schedule(kind="hourly", hours=hours), timedelta(hours=hours)
    first = next_after(of, now, spread_seed=seed)
    assert first is not None
    assert now < first <= now + every
    assert next_after(of, first - timedelta(microseconds=1), spread_seed=seed) == first
    assert next_after(of, first, spread_seed=seed) == first + every


local = {"at": times, "time_zone": zones}
spreads = {"spread_minutes": st.integers(0, 240)}
day_lists = st.lists(st.sampled_from(DAYS), min_size=1, max_size=7)


@given(
    st.just({"kind": "manual"})
    | st.fixed_dictionaries({"kind": st.just("hourly"), "hours": st.integers(1, 168)})
    | st.fixed_dictionaries({"kind": st.just("daily"), **local}, optional=spreads)
    | st.fixed_dictionaries({"kind": st.just("weekly"), **local, "days": day_lists}, optional=spreads)
)
def test_what_is_stored_is_read_back(values: dict[str, Any]) -> None:
    made = parse(Definition, {"schedule": values})
    assert Definition.model_validate_json(made.model_dump_json()) == made
    assert Definition.model_validate(made.model_dump(mode="json")) == made


# --- bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "field", "problem"),
    [
        ({"kind": "daily", "at": "02:30", "time_zone": "Europe/Bonn"}, ".time_zone", "unknown time zone: use an IANA name"),
        ({"kind": "daily", "at": "02:30", "time_zone": "../../etc/passwd"}, ".time_zone", "unknown time zone"),
        ({"kind": "daily", "at": "02:30", "time_zone": "Europe"}, ".time_zone", "unknown time zone"),
        ({"kind": "daily", "at": "02:30", "time_zone": "europe/berlin"}, ".time_zone", "unknown time zone"),
        ({"kind": "daily", "at": "02:30", "time_zone": ""}, ".time_zone", "unknown time zone"),
        ({"kind": "daily", "at": "02:30"}, ".time_zone", "required"),
        ({"kind": "daily", "at": "24:00", "time_zone": "UTC"}, ".at", "match pattern"),
        ({"kind": "daily", "at": "2:30", "time_zone": "UTC"}, ".at", "match pattern"),
        ({"kind": "daily", "at": "02:30:00", "time_zone": "UTC"}, ".at", "match pattern"),
        ({"kind": "daily", "at": "02:60", "time_zone": "UTC"}, ".at", "match pattern"),
        ({"kind": "daily", "at": "02:30", "time_zone": "UTC", "spread_minutes": 241}, ".spread_minutes", "240"),
        ({"kind": "daily", "at": "02:30", "time_zone": "UTC", "spread_minutes": -1}, ".spread_minutes", "0"),
        ({"kind": "daily", "at": "02:30", "time_zone": "UTC", "days": ["monday"]}, ".days", "not permitted"),
        ({"kind": "weekly", "at": "02:30", "time_zone": "UTC", "days": []}, ".days", "at least 1"),
        ({"kind": "weekly", "at": "02:30", "time_zone": "UTC", "days": ["monday"] * 8}, ".days", "at most 7"),
        ({"kind": "weekly", "at": "02:30", "time_zone": "UTC", "days": ["monday", "Montag"]}, ".days.1", "'monday'"),
        ({"kind": "hourly", "hours": 0}, ".hours", "1"),
        ({"kind": "hourly", "hours": 169}, ".hours", "168"),
        ({"kind": "yearly"}, "", "manual, hourly, daily or weekly"),
        ({"kind": ["daily"]}, "", "manual, hourly, daily or weekly"),
        ({"at": "02:30"}, "", "manual, hourly, daily or weekly"),
        ("daily", "", "manual, hourly, daily or weekly"),
        (None, "", "manual, hourly, daily or weekly"),
    ],
)  # fmt: skip
def test_bad_schedules_are_refused_with_their_place(value: Any, field: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(Definition, {"schedule": value})
    assert caught.value.field == f"schedule{field}"
    assert problem in caught.value.problem
    assert "Value error" not in caught.value.problem


def test_the_limits_themselves_are_allowed() -> None:
    for values in (
        {"kind": "hourly", "hours": 1},
        {"kind": "hourly", "hours": 168},
        {"kind": "daily", "at": "00:00", "time_zone": "UTC", "spread_minutes": 0},
        {"kind": "daily", "at": "23:59", "time_zone": "UTC", "spread_minutes": 240},
        {"kind": "weekly", "at": "19:09", "time_zone": "UTC", "days": DAYS},
    ):
        schedule(**values)
