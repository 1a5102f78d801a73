"""Which days of a calendar a sync mirrors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAY = len("2026-01-01")
FORESEEN = 90
"""Days for which it is noted what a window will leave behind."""

_MIDNIGHT = "T00:00:00"


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

    def departures(self, spans: Iterable[tuple[str, str]]) -> list[int]:
        """How many of what lies in the window (by start and end) each day ahead leaves behind, for a quarter of a year."""
        counts = [0] * FORESEEN
        for start, end in spans:
            begins, ends = moment(start), moment(end)
            last = date.fromisoformat(ends[:DAY])
            # what has no length lies in the window on its day
            ahead = (last - self.first).days + (ends[DAY:] != _MIDNIGHT or begins == ends)
            if ahead <= FORESEEN:
                counts[ahead - 1] += 1
        return counts

    def left_behind(self, departures: Sequence[int], since: date) -> int:
        """How many have gone out of a window that began on the day `since`, with these departures."""
        return sum(departures[: max((self.first - since).days, 0)])


def moment(text: str) -> str:
    """A time or day (ISO 8601 in UTC) as a text that sorts by time."""
    return f"{text}{_MIDNIGHT}" if len(text) == DAY else text[: DAY + len(_MIDNIGHT)]
