"""When a sync runs.

A schedule is data; `next_after` is a function of it and a time. Whoever drives it keeps the next time as due, starts the sync
once that has come, and then asks for the next one after now: however many passed meanwhile, one run makes up for them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, field_validator

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Manual(_Strict):
    """Only when asked."""

    kind: Literal["manual"]


class Hourly(_Strict):
    """Every so many hours, at a time of its own for each sync: nobody minds when, and so the load is even."""

    kind: Literal["hourly"]
    hours: int = Field(ge=1, le=168)


class _AtLocalTime(_Strict):
    at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    time_zone: str
    spread_minutes: int = Field(default=30, ge=0, le=240)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in _time_zones():
            raise ValueError("unknown time zone: use an IANA name such as Europe/Berlin or UTC")
        return name


class Daily(_AtLocalTime):
    """Every day at a local time ("02:30"), up to `spread_minutes` later."""

    kind: Literal["daily"]


class Weekly(_AtLocalTime):
    """On some days of the week at a local time ("02:30"), up to `spread_minutes` later."""

    kind: Literal["weekly"]
    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]


def _tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"schedule[{kind}]"


Schedule: TypeAlias = Annotated[
    Annotated[Manual, Tag("schedule[manual]")]
    | Annotated[Hourly, Tag("schedule[hourly]")]
    | Annotated[Daily, Tag("schedule[daily]")]
    | Annotated[Weekly, Tag("schedule[weekly]")],
    Discriminator(
        _tag,
        custom_error_type="schedule",
        custom_error_message="a schedule is an object whose kind is manual, hourly, daily or weekly",
    ),
]


def next_after(schedule: Schedule, now: datetime, *, spread_seed: str) -> datetime | None:
    """The first time of a schedule after `now`, both in UTC; None when there is none.

    `spread_seed` names the sync (tenant and sync id): it decides where in the spread its time lies, always the same.
    A local time that a day lacks, when clocks go forward, is the first instant after the gap; of one that a day has twice it is
    the first.
    """
    match schedule:
        case Manual():  # pragma: no mutate (without it the result is None as well)
            return None
        case Hourly(hours=hours):
            every = timedelta(hours=hours)
            phase = _EPOCH + _share(every, spread_seed)
            return phase + ((now - phase) // every + 1) * every
        case Daily() | Weekly():
            days = DAYS if isinstance(schedule, Daily) else schedule.days
            zone, at = ZoneInfo(schedule.time_zone), time.fromisoformat(schedule.at)
            late = _share(timedelta(minutes=schedule.spread_minutes), spread_seed)
            # Far enough back for any zone, gap and spread
            day = now.date() - timedelta(days=2)  # pragma: no mutate (further back only costs time)
            while DAYS[day.weekday()] not in days or (start := _instant(day, at, zone) + late) <= now:
                day += timedelta(days=1)
            return start


def _share(span: timedelta, seed: str) -> timedelta:
    """A part of a span, in whole seconds and less than all of it unless it is zero: always the same for a seed."""
    seconds = int(span.total_seconds())
    number = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest())
    return timedelta(seconds=number % seconds if seconds else 0)


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """When the local clock first shows `at` on `day`, or the first instant after the gap that it lies in, in UTC."""
    local = datetime.combine(day, at, tzinfo=zone)
    # Read by the clock before a change and by the one after it: only in a gap does the first reading come out later
    after, before = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // timedelta(seconds=2) * timedelta(seconds=1)
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
