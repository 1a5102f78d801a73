"""What a mirror should show, computed from the source calendars and a definition alone: no code of the product decides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from local.m365.calendars import zones
from local.m365.calendars.events import Calendar, Shown
from local.m365.calendars.store import Calendars
from tests.engine.rooms import window

BACK, AHEAD = 4, 16
LABELS = ("Organiser", "Attendees", "Join", "Open")
_DAY = timedelta(days=1)


class Sight(NamedTuple):
    """What a person sees of an event, its form opened: times in UTC (days where it lasts all day), the zones they are told in."""

    subject: str
    start: str
    end: str
    whole: bool
    place: str
    shown_as: str
    categories: tuple[str, ...]
    sensitivity: str
    zones: tuple[str, str]
    lines: tuple[str, ...]  # of the text, of those with a label only that


def seen(shown: Shown) -> Sight:
    """What a person sees of a mirrored event."""
    values = shown.values
    lines = [line for line in str((values.get("body") or {}).get("content") or "").splitlines() if line]
    return Sight(
        values.get("subject") or "",
        *_times(shown),
        bool(values.get("isAllDay")),
        (values.get("location") or {}).get("displayName") or "",
        values.get("showAs") or "busy",
        tuple(values.get("categories") or ()),
        values.get("sensitivity") or "normal",
        (zones.zone_of(values["start"]).key, zones.zone_of(values["end"]).key),
        tuple(label if (label := line.partition(":")[0]) in LABELS else line for line in lines),
    )


def expected(definition: dict[str, Any], calendars: Iterable[tuple[dict[str, Any], Calendars, Calendar]], now: datetime) -> Any:
    """What the sources show in the window, by the rules of the definition, and how often."""
    rules = definition["events"]
    start, end = window(now, rules["days_back"], rules["days_ahead"])
    first, last = (f"{at:%Y-%m-%dT%H:%M:%S}" for at in (start, end))
    found: Counter[Sight] = Counter()
    for source, kept, calendar in calendars:
        for shown in kept.view(calendar, start - 2 * _DAY, end + 2 * _DAY):
            one = _mirrored(shown, rules, source)
            if one is not None and one.start < last and (one.end > first or one.start == one.end == first):
                found[one] += 1
    return found


def _mirrored(shown: Shown, rules: dict[str, Any], source: dict[str, Any]) -> Sight | None:
    values = shown.values
    one = seen(shown)
    names = {name.lower() for name in one.categories}
    private = one.sensitivity != "normal"
    if (
        (private and rules.get("private") == "skip")
        or (one.shown_as in ("free", "tentative") and rules.get(one.shown_as) == "skip")
        or ((values.get("responseStatus") or {}).get("response") == "declined" and rules.get("declined", "skip") == "skip")
        or (rules.get("categories_in") and not names & {name.lower() for name in rules["categories_in"]})
        or names & {name.lower() for name in rules.get("categories_out") or ()}
    ):
        return None
    below = {
        "Organiser": rules.get("organizer", True),
        "Attendees": rules.get("attendees", False) and values.get("attendees"),
        "Join": rules.get("join_link", True) and values.get("onlineMeeting"),
        "Open": rules.get("web_link", True),
    }
    one = one._replace(lines=(*one.lines, *(label for label, told in below.items() if told)), zones=_told_in(shown, one))
    if rules.get("subject") or (private and rules.get("private", "busy") == "busy"):
        one = one._replace(subject=rules.get("subject") or "Busy", place="", categories=(), lines=())
    if "prefix" in source:
        one = one._replace(subject=f"{source['prefix']} {one.subject}")
    return one._replace(categories=tuple(sorted({*one.categories, *([source["category"]] if "category" in source else ())})))


def _times(shown: Shown) -> tuple[str, str]:
    whole = bool(shown.values.get("isAllDay"))
    start, end = (zones.local(shown.values[side]) if whole else zones.moment(shown.values[side]) for side in ("start", "end"))
    return f"{start:%Y-%m-%dT%H:%M:%S}", f"{end:%Y-%m-%dT%H:%M:%S}"


def _told_in(shown: Shown, one: Sight) -> tuple[str, str]:
    """The zones of the event; UTC where the clocks of one show one of the times twice."""
    utc = zones.zone("UTC").key
    for side in ("start", "end"):
        rules = zones.zone_of(shown.values[side])
        clock = zones.moment(shown.values[side]).astimezone(rules)
        if not one.whole and clock.replace(fold=0).utcoffset() != clock.replace(fold=1).utcoffset():
            return utc, utc
    return one.zones
