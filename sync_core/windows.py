"""Which days of a calendar a sync mirrors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAY = len("2026-01-01")


@dataclass(frozen=True, slots=True)
class Window:
    """From the beginning of the day `first` to the beginning of the day `last`, in UTC. It slides once a day."""

    first: date
    last: date

    @classmethod
    def around(cls, now: datetime, *, days_back: int, days_ahead: int) -> Window:
        """The window on the day of `now`."""
        today = now.date()
        return cls(today - timedelta(days=days_back), today + timedelta(days=days_ahead))

    def holds(self, start: str, end: str) -> bool:
        """Whether something lies in the window at least in part. Times are ISO 8601 in UTC, or days, the end exclusive."""
        begins, ends = moment(start), moment(end)
        first, last = moment(self.first.isoformat()), moment(self.last.isoformat())
        return begins < last and (ends > first or begins == ends == first)

    def is_past(self, end: str) -> bool:
        """Whether something that ends then has slid out of the window."""
        return moment(end) <= moment(self.first.isoformat())


def moment(text: str) -> str:
    """A time or day (ISO 8601 in UTC) as a text that sorts by time."""
    return f"{text}T00:00:00" if len(text) == DAY else text[: DAY + len("T00:00:00")]
