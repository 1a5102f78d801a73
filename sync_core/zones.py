"""Time zones as Exchange names them, and the wall clock in them.

Exchange takes the names of Windows and a few of IANA's, and shows of an event the name under which it was made, or an address of
its own. https://learn.microsoft.com/graph/api/resources/datetimetimezone and .../graph/api/resources/event#properties
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

UTC_NAME = "UTC"


@lru_cache(1000)
def windows_name(name: str | None) -> str:
    """The name by which Windows knows a zone; "UTC" for one that nobody else would know, such as one made by hand in Outlook."""
    from tzlocal.windows_tz import tz_win, win_tz

    if not name:
        return UTC_NAME
    return name if name in win_tz else tz_win.get(name, UTC_NAME)


def in_zone(moment: str, zone: str) -> str | None:
    """What the clocks of a zone (by its Windows name) show at a moment of UTC (ISO 8601 without offset).

    None where they show it twice, because they are put back: only UTC tells the two apart.
    """
    if zone == UTC_NAME:
        return moment
    rules = _rules(zone)
    wall = datetime.fromisoformat(f"{moment}Z").astimezone(rules).replace(tzinfo=None)
    first, second = (wall.replace(tzinfo=rules, fold=fold).utcoffset() for fold in (0, 1))
    return wall.isoformat() if first == second else None


def in_utc(wall: str, zone: str) -> str:
    """The moment of UTC at which the clocks of a zone show this."""
    if zone == UTC_NAME:
        return wall
    at = datetime.fromisoformat(wall)
    return (at - (at.replace(tzinfo=_rules(zone)).utcoffset() or timedelta())).isoformat()


@cache
def _rules(zone: str) -> ZoneInfo:
    from tzlocal.windows_tz import win_tz

    return ZoneInfo(win_tz[zone])
