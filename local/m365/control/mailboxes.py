"""What happens to one mailbox: acts of its user, and of Exchange."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from local.m365.calendars.events import Calendar
from local.m365.contacts_api import show
from local.m365.control.calendars import CalendarAct, act_on_calendars
from local.m365.control.contacts import ContactAct, act_on_contacts
from local.m365.control.orders import Strict
from local.m365.mailbox import Folder, Mailbox
from local.m365.tenant import Tenant


class TurnKeys(Strict):
    """Exchange bumps every change key, or gives every contact and event a new id."""

    op: Literal["bumpChangeKeys", "changeItemIds"]


class MailboxOrder(Strict):
    """What happens to one mailbox, in order. Things are named by id; folders and calendars also by name."""

    tenant: str
    user: str
    operations: list[Annotated[ContactAct | CalendarAct | TurnKeys, Field(discriminator="op")]]


def use(tenant: Tenant, user: str, act: ContactAct | CalendarAct | TurnKeys) -> str:
    """Carry an act out. Returns the id of what was made, or "". Raises KeyError and GraphError."""
    if isinstance(act, ContactAct):
        return act_on_contacts(tenant, user, act)
    if isinstance(act, CalendarAct):
        return act_on_calendars(tenant.calendars(user), act)
    if act.op == "bumpChangeKeys":
        tenant.bump_change_keys(user)
    else:
        tenant.change_item_ids(user)
    return ""


def picture(mailbox: Mailbox) -> dict[str, Any]:
    """A mailbox in full: each folder with its path and contacts, each calendar with its events, extended properties included."""

    def contacts(folder: Folder) -> list[dict[str, Any]]:
        return [{**show(mailbox, item, immutable=True), "extended": item.extended} for item in folder.contacts.values()]

    shown = []
    for folder in [*mailbox.folders(), mailbox.deleted_items]:
        names = [step.name for step in mailbox.ancestors(folder)][-2::-1]
        shown.append({"id": folder.id, "path": "/".join(names), "extended": folder.extended, "contacts": contacts(folder)})
    calendars = [_calendar(calendar) for calendar in mailbox.calendars.listed()]
    return {"user": mailbox.owner, "state": mailbox.state, "folders": shown, "calendars": calendars}


def _calendar(calendar: Calendar) -> dict[str, Any]:
    events = [
        {
            **event.values,
            "id": event.id,
            "extended": event.extended,
            "exceptions": {f"{day}": values for day, values in event.exceptions.items()},
            "cancelled": sorted(map(str, event.cancelled)),
        }
        for event in calendar.events.values()
    ]
    return {"id": calendar.id, "name": calendar.name, "color": calendar.color, "extended": calendar.extended, "events": events}
