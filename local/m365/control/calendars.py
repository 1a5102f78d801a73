"""Acts of a user on calendars and events.

What changes a whole event or series names it by id; what changes one occurrence gives the `day`, too, on which the series has it.
Invitations, updates and cancellations go out as they would from Outlook, and are counted.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from local.m365.calendars.calendars_api import calendar_values
from local.m365.calendars.events_api import event_values
from local.m365.calendars.store import Calendars
from local.m365.control.orders import Strict


class CreateCalendar(Strict):
    """The user makes a calendar."""

    op: Literal["createCalendar"]
    name: str
    color: str = "auto"


class RenameCalendar(Strict):
    """The user renames a calendar."""

    op: Literal["renameCalendar"]
    calendar: str
    name: str


class DeleteCalendar(Strict):
    """The user deletes a calendar: it goes to Deleted Items, or for good."""

    op: Literal["deleteCalendar"]
    calendar: str
    permanently: bool = False


class CreateEvent(Strict):
    """The user adds an event or a series. Without a calendar it goes into the default one."""

    op: Literal["createEvent"]
    calendar: str = ""
    values: dict[str, Any]


class EditEvent(Strict):
    """The user edits an event, a series, or one occurrence, which becomes an exception. Other times move it."""

    op: Literal["editEvent"]
    event: str
    day: date | None = None
    values: dict[str, Any]


class MoveEvent(Strict):
    """The user moves an event or a series to another calendar."""

    op: Literal["moveEvent"]
    event: str
    calendar: str


class DeleteEvent(Strict):
    """The user deletes an event or a series, or cancels one occurrence."""

    op: Literal["deleteEvent"]
    event: str
    day: date | None = None
    permanently: bool = False


CalendarAct = CreateCalendar | RenameCalendar | DeleteCalendar | CreateEvent | EditEvent | MoveEvent | DeleteEvent


def act_on_calendars(box: Calendars, act: CalendarAct) -> str:
    """Carry it out. Returns the id of what was made, or "". Raises KeyError and GraphError."""
    match act:
        case CreateCalendar():
            name, color, _ = calendar_values({"name": act.name, "color": act.color})
            return box.create_calendar(name, color=color).id
        case RenameCalendar():
            box.rename_calendar(box.named(act.calendar), act.name)
        case DeleteCalendar():
            box.delete_calendar(box.named(act.calendar), permanently=act.permanently)
        case CreateEvent():
            calendar = box.named(act.calendar) if act.calendar else box.default
            return box.create(calendar, *event_values(act.values)).id
        case EditEvent():
            box.change(box.on_day(act.event, act.day), *event_values(act.values))
        case MoveEvent():
            box.move(box.find(act.event).event, box.named(act.calendar))
        case DeleteEvent():
            box.delete(box.on_day(act.event, act.day), permanently=act.permanently)
    return ""
