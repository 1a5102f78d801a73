"""One calendar of a mailbox, as the events and occurrences of a window of time.

The delta over a calendar misses deletions and freezes its window, so that it only signals that something has changed; what counts
is the view, read as a whole. It is also read when the signal has been silent for most of a day. More is read than a sync's window
needs now, so that the window can slide for a week before the delta has to begin anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from secrets import token_hex
from typing import Any

import orjson

from sync_core import buckets, marks
from sync_core.encoding import kept as encoded
from sync_core.errors import DeltaExpiredError, LedgerDoubtError, MailboxError, MailboxGoneError, Reason, SourceError
from sync_core.event_rules import EventRules
from sync_core.named import NAMED, named_in
from sync_core.occurrences import Occurrence, occurrence_of, origin_of
from sync_core.ports import Calendars
from sync_core.sources.base import Heads, Person, Reading, Source, short_hash
from sync_core.sources.delta import flip
from sync_core.state.sources import CALENDAR, SourceHead

DEFAULT_CALENDAR = "default"
"""The name that stands for the mailbox's own calendar."""

READ_EVERY = timedelta(hours=20)
_MARGIN = timedelta(days=2)  # whole days reach over the window's edges in some zones
_AHEAD = timedelta(days=8)  # one more than a delta lives
_DELTA_LIVES = timedelta(days=7)
_ORIGIN, _UID = "origin", "uid"
_UNREADABLE = {
    Reason.OUT_OF_SCOPE: "the mailbox is outside the app's access scope, or Calendars.ReadWrite is missing",
    Reason.NO_MAILBOX: "the user has no mailbox in Exchange Online",
}


@dataclass(frozen=True, slots=True)
class _Signal:
    """What goes on from one reading to the next: the calendar, and the delta over a window that was frozen when it began."""

    calendar: str
    link: str
    begun: datetime
    start: datetime
    end: datetime

    def text(self) -> str:
        moments = [at.isoformat() for at in (self.begun, self.start, self.end)]
        return orjson.dumps([self.calendar, self.link, *moments]).decode()

    @classmethod
    def of(cls, text: str) -> _Signal:
        calendar, link, *moments = orjson.loads(text)
        return cls(calendar, link, *map(datetime.fromisoformat, moments))


class CalendarEvents(Source):
    """One calendar of one mailbox, by the calendar's name, over the window of a sync."""

    def __init__(self, reading: Reading, mailbox: str, calendar: str, rules: EventRules) -> None:
        self.id = f"{CALENDAR}{mailbox}-{short_hash(calendar.casefold(), str(rules.days_back), str(rules.days_ahead))}"
        self._mailbox = mailbox
        self._calendar = calendar
        self._reading = reading
        window = rules.window(reading.clock.now())
        self._start = datetime.combine(window.first, time(), UTC) - _MARGIN
        self._end = datetime.combine(window.last, time(), UTC) + _MARGIN

    async def refresh(self) -> SourceHead:
        """Bring what we know of the calendar up to date. Raises SourceError that says what is wrong with it."""
        calendars = self._reading.graph.calendars(self._reading.tenant)
        try:
            return await self._refresh(calendars)
        except LedgerDoubtError as error:
            raise SourceError(error.detail) from None
        except MailboxGoneError:
            raise SourceError(await self._why_gone()) from None
        except MailboxError as error:
            if error.reason in _UNREADABLE:
                raise SourceError(_UNREADABLE[error.reason]) from None
            raise
        finally:
            self._reading.spent.add(calendars.spent)

    async def people(self, heads: Heads) -> AsyncIterator[Person]:
        """Every event and occurrence, by "e:" and a hash of its origin, with the day for an occurrence."""
        async for key, occurrence in self._reading.store(self.id).objects(heads[self.id]):
            yield key, {name: value for name, value in occurrence.items() if name not in (_ORIGIN, _UID)}

    async def _refresh(self, calendars: Calendars) -> SourceHead:
        store = self._reading.store(self.id)
        now = self._reading.clock.now()
        known = await store.head()
        if known is None:
            await store.discard_head()
        signal, quiet = await self._listen(calendars, known, now)
        if known is not None and quiet and now - known.full_at < READ_EVERY:
            if signal.text() == known.delta_link:
                return known
            return await flip(
                store, SourceHead(known.pages, known.count, known.full_at, signal.text(), known.asked, known.etag), known
            )
        raw = [one async for page in calendars.view(self._mailbox, signal.calendar, signal.start, signal.end) for one in page]
        before = {key: value async for key, value in store.objects(known)} if known is not None else {}
        objects = {key: encoded(value) for key, value in self._keyed(raw, before).items()}
        count = buckets.bucket_count(len(objects), len(known.pages) if known else None)
        refs = await store.write_all(token_hex(8), objects, count, read_at=now)
        return await flip(store, SourceHead(refs, len(objects), now, signal.text()), known)

    async def _listen(self, calendars: Calendars, known: SourceHead | None, now: datetime) -> tuple[_Signal, bool]:
        """The signal from now on, and whether it was silent."""
        signal = _Signal.of(known.delta_link) if known is not None and not self._reading.in_full else None
        if signal is not None and signal.start <= self._start and self._end <= signal.end and now - signal.begun < _DELTA_LIVES:
            try:
                return await self._ask(calendars, signal)
            except (DeltaExpiredError, LedgerDoubtError):
                pass
        fresh = _Signal(await self._locate(calendars), "", now, self._start, self._end + _AHEAD)
        signal, _ = await self._ask(calendars, fresh)
        return signal, False

    async def _ask(self, calendars: Calendars, signal: _Signal) -> tuple[_Signal, bool]:
        quiet, link = True, None
        pages = calendars.view_changes(self._mailbox, signal.calendar, signal.link or None, signal.start, signal.end)
        async for page in pages:
            quiet = quiet and not page.changed and not page.removed
            link = page.delta_link
        if link is None:
            raise SourceError("ended without a delta link")
        return _Signal(signal.calendar, link, signal.begun, signal.start, signal.end), quiet

    async def _locate(self, calendars: Calendars) -> str:
        """The calendar by its name; never one of ours."""
        if self._calendar.casefold() == DEFAULT_CALENDAR:
            return (await calendars.default(self._mailbox)).folder_id
        for folder in await calendars.folders(self._mailbox):
            if folder.name.casefold() == self._calendar.casefold() and not (folder.mark and marks.parse(folder.mark)):
                return folder.folder_id
        raise SourceError("the mailbox has no calendar of this name")

    async def _why_gone(self) -> str:
        try:
            await self._reading.graph.directory(self._reading.tenant).nested_groups(self._mailbox)
        except SourceError:
            return "there is no such mailbox"
        return "this is a group: apps cannot read group calendars, share a mailbox's calendar instead"

    def _keyed(self, raw: Iterable[Mapping[str, Any]], before: Mapping[str, Occurrence]) -> dict[str, Occurrence]:
        """All events by key. Ids change when a mailbox moves: what left and came under another id keeps its key."""
        found = sorted(raw, key=lambda one: (one.get("originalStart") or "", one["id"]))
        origins = {one["id"]: origin_of(one) for one in found}
        known = {known[_ORIGIN]: key.partition(".")[0] for key, known in before.items()}
        present = {origin for origin, _ in origins.values()}
        heirs = {one[_UID]: known[one[_ORIGIN]] for one in before.values() if one[_UID] and one[_ORIGIN] not in present}
        result: dict[str, Occurrence] = {}
        turns: Counter[str] = Counter()
        for one in found:
            origin, day = origins[one["id"]]
            if origin not in known:
                heir = heirs.get(one.get("iCalUId") or "")
                known[origin] = heir or f"e:{short_hash(self._mailbox, origin)}"
            key = f"{known[origin]}.{day}" if day else known[origin]
            turns[key] += 1
            if turns[key] > 1:  # twice on a day of UTC, where clocks were changed
                key += f"-{turns[key]}"
            occurrence = occurrence_of(one)
            named = named_in(one, occurrence, self._reading.keys.suppression_key)
            result[key] = {**occurrence, NAMED: named, _ORIGIN: origin, _UID: one.get("iCalUId") or ""}
        return result
