"""Do mirrored calendars show what they should? Judged from Graph alone: nothing here is shared with the code that is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from local.demo.check import Finding
from local.demo.clients import Json, Reader

_WIDER = timedelta(days=40)  # nothing of ours may lie beyond the window either
_DIGITS = len("2026-11-02T01:00:00")

Mirrors = dict[str, list[Json]]
"""What each mailbox that can be reached shows in the mirrored calendar, with times in UTC."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as far as the check compares."""

    subject: str
    start: str
    end: str
    all_day: bool
    place: str
    shown_as: str


@dataclass(frozen=True, slots=True)
class Line:
    """An event and what became of it; a cancelled one is as it was last."""

    event: Json
    note: str = ""


def entry_of(event: Json) -> Entry:
    """An event as an entry."""
    start, end = (str(event[side]["dateTime"])[:_DIGITS] for side in ("start", "end"))
    place = (event.get("location") or {}).get("displayName") or ""
    return Entry(event["subject"], start, end, event["isAllDay"], place, event["showAs"])


def mirrored(event: Json, prefix: str = "") -> Entry:
    """What a mirror should show of an event: of a private one only that its time is taken."""
    entry = entry_of(event)
    private = event["sensitivity"] != "normal"
    subject = "Busy" if private else entry.subject
    return Entry(
        f"{prefix} {subject}".strip(), entry.start, entry.end, entry.all_day, "" if private else entry.place, entry.shown_as
    )


def mirrors(reader: Reader, mailboxes: Iterable[str], sync: str, start: datetime, end: datetime) -> Mirrors:
    """The mirrors of a sync, and a while beyond its window."""
    found = {user: reader.calendar(user, sync) for user in mailboxes}
    return {
        user: reader.view(user, calendar, start - _WIDER, end + _WIDER) if calendar else []
        for user, calendar in found.items()
        if calendar is not None
    }


def own_events(reader: Reader, user: str) -> list[tuple[str, str]]:
    """Ids and change keys of everything in the default calendar of a mailbox."""
    default = next(found["id"] for found in reader.calendars(user) if found["isDefaultCalendar"])
    now = datetime.now(UTC)
    return sorted((event["id"], event["changeKey"]) for event in reader.view(user, default, now - _WIDER, now + _WIDER))


def less(some: Iterable[Entry], others: Iterable[Entry]) -> list[Entry]:
    """What is among some and not among others."""
    return list((Counter(some) - Counter(others)).elements())


def check_mirrors(what: str, shown: Mirrors, wanted: list[Entry]) -> Finding:
    """Each mailbox shows exactly these, each once."""
    for user, events in shown.items():
        held = [entry_of(event) for event in events]
        missing, extra = less(wanted, held), less(held, wanted)
        if missing or extra:
            return Finding(what, f"mailbox {user} lacks {missing[:1]} and has {extra[:1]} too many")
    return Finding(what, "" if shown and wanted else "there is nothing to compare")


def check_secret(shown: Mirrors, secret: str) -> Finding:
    """What is private nobody can read."""
    what = "what is private is shown as taken time, without a word of it"
    found = [user for user, events in shown.items() if secret in str(events)]
    return Finding(what, f"mailbox {found[0]} tells of it" if found else "")


def check_wall_time(shown: Mirrors, subject: str, at: time, zone: ZoneInfo) -> Finding:
    """The meeting is at the same time of the day before and after the clocks change."""
    what = f"{subject} is at {at:%H:%M} on both sides of every change of clocks"
    for user, events in shown.items():
        starts = [begins(event).astimezone(zone) for event in events if event["subject"] == subject]
        if {start.time() for start in starts} != {at}:
            return Finding(what, f"mailbox {user} has it at {sorted({f'{start:%H:%M}' for start in starts})}")
        if len({start.utcoffset() for start in starts}) < 2:
            return Finding(what, f"in mailbox {user} no clock changes")
    return Finding(what)


def check_cost(what: str, run: Json, *, created: int, updated: int, deleted: int) -> Finding:
    """The run wrote this much and no more."""
    said = {name: run["counts"][name] for name in ("created", "updated", "deleted")}
    wanted = {"created": created, "updated": updated, "deleted": deleted}
    words = " and ".join(f"{count} {name}" for name, count in wanted.items() if count)
    return Finding(f"{what}: {words or 'none'}", "" if said == wanted else f"it says {said}")


def check_own(before: Mapping[str, object], after: Mapping[str, object]) -> Finding:
    """Nobody's own events were touched."""
    changed = [user for user, events in before.items() if after[user] != events]
    what = "everybody's own calendar is as it was"
    return Finding(what, f"that of mailbox {changed[0]} has changed" if changed else "")


def check_mails(staged: int, mails: Iterable[Mapping[str, int]]) -> Finding:
    """No run mailed anything. `staged` mails were counted before, when the calendar's owner invited people."""
    sent = sum(sum(counted.values()) for counted in mails)
    what = f"no mail was sent ({staged} invitations of the calendar's own were counted before)"
    return Finding(what, f"{sent} mails" if sent else "" if staged else "invitations are not counted")


def begins(event: Json) -> datetime:
    """When an event begins; its times are in UTC."""
    return datetime.fromisoformat(str(event["start"]["dateTime"])[:_DIGITS]).replace(tzinfo=UTC)


def compare(before: Iterable[Json], after: Iterable[Json], zone: ZoneInfo) -> list[Line]:
    """The events of a while, by time. Those before have times in UTC, those after in `zone`, and all of what is returned, too."""
    known = {event["id"]: _in_zone(event, zone) for event in before}
    lines = []
    for event in after:
        old = known.pop(event["id"], None)
        moved = old is not None and _wall(old) != _wall(event)
        lines.append(Line(event, f"was {_wall(old):%a %H:%M}" if old is not None and moved else ""))
    lines += [Line(event, "cancelled") for event in known.values()]
    return sorted(lines, key=lambda line: (_wall(line.event).date(), not line.event["isAllDay"], _wall(line.event)))


def across_change(events: Iterable[Json], subject: str, zone: ZoneInfo) -> str:
    """The last meeting before the clocks change and the first one after it, in words."""
    starts = sorted(begins(event).astimezone(zone) for event in events if event["subject"] == subject)
    pair = next(((one, two) for one, two in pairwise(starts) if one.utcoffset() != two.utcoffset()), None)
    if pair is None:
        return f"The clocks do not change between any two of {subject}."
    told = [f"{at:%a} {at.day} {at:%b %Y} {at:%H:%M} ({at.astimezone(UTC):%H:%M} UTC)" for at in pair]
    return f"Before and after the clocks change: {subject} on {told[0]} and on {told[1]}."


def days_of(event: Json) -> list[date]:
    """The days that an event with times in its reader's zone is on."""
    start, end = (datetime.fromisoformat(str(event[side]["dateTime"])[:_DIGITS]) for side in ("start", "end"))
    last = max(start, end - timedelta(seconds=1)).date()
    return [start.date() + timedelta(days=offset) for offset in range((last - start.date()).days + 1)]


def _wall(event: Json) -> datetime:
    return datetime.fromisoformat(str(event["start"]["dateTime"])[:_DIGITS])


def _in_zone(event: Json, zone: ZoneInfo) -> Json:
    if event["isAllDay"]:
        return event
    sides = {side: datetime.fromisoformat(event[side]["dateTime"][:_DIGITS]).replace(tzinfo=UTC) for side in ("start", "end")}
    return {**event, **{side: {"dateTime": f"{at.astimezone(zone):%Y-%m-%dT%H:%M:%S}"} for side, at in sides.items()}}
