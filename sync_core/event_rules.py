"""What of a calendar is mirrored, and how much of it is told: checked at the edge."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sync_core.occurrences import Occurrence
from sync_core.windows import Window

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Labels = Annotated[tuple[Label, ...], Field(max_length=50)]
Color = Literal[
    "auto",
    "lightBlue",
    "lightGreen",
    "lightOrange",
    "lightGray",
    "lightYellow",
    "lightTeal",
    "lightPink",
    "lightBrown",
    "lightRed",
]
BUSY = "Busy"
_NOTHING: dict[str, Any] = {
    "text": "",
    "location": "",
    "categories": [],
    "organizer": "",
    "attendees": [],
    "join": "",
    "link": "",
}


class EventRules(BaseModel):
    """The rules of a sync of calendars.

    A calendar gets its `color` when it is made, and when another one is named here. The window reaches from `days_back` to
    `days_ahead` and slides every night. Events that are `private` (whatever is not of normal sensitivity), `free`,
    `tentative` or `declined` are kept or skipped; of a private one "busy" tells the time alone. With `categories_in`, only
    events with one of them are mirrored; with one of `categories_out`, never. A `subject` of the sync's own is shown instead
    of everything else that is told of an event. Reminders are off unless `reminder_minutes` says otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    days_back: int = Field(default=30, ge=0, le=365)
    days_ahead: int = Field(default=365, ge=1, le=1095)
    color: Color = "auto"
    private: Literal["skip", "busy", "full"] = "busy"
    free: Literal["keep", "skip"] = "keep"
    tentative: Literal["keep", "skip"] = "keep"
    declined: Literal["keep", "skip"] = "skip"
    subject: Label | None = None
    organizer: bool = True
    attendees: bool = False
    join_link: bool = True
    web_link: bool = True
    categories_in: Labels = ()
    categories_out: Labels = ()
    reminder_minutes: Annotated[int, Field(ge=0, le=40_320)] | None = None

    def window(self, now: datetime) -> Window:
        """The window on the day of `now`."""
        return Window.around(now, days_back=self.days_back, days_ahead=self.days_ahead)

    def mirrors(self, occurrence: Occurrence) -> bool:
        """Whether an event is mirrored at all."""
        names = {name.casefold() for name in occurrence["categories"]}
        return not (
            occurrence["cancelled"]
            or (self.private == "skip" and is_private(occurrence))
            or (self.free == "skip" and occurrence["showAs"] == "free")
            or (self.tentative == "skip" and occurrence["showAs"] == "tentative")
            or (self.declined == "skip" and occurrence["response"] == "declined")
            or (self.categories_in and names.isdisjoint(name.casefold() for name in self.categories_in))
            or not names.isdisjoint(name.casefold() for name in self.categories_out)
        )

    def told(self, occurrence: Occurrence) -> dict[str, Any]:
        """What of an event may be told."""
        if self.subject is not None or (self.private == "busy" and is_private(occurrence)):
            return {**occurrence, **_NOTHING, "subject": self.subject or BUSY}
        told = {"organizer": self.organizer, "attendees": self.attendees, "join": self.join_link, "link": self.web_link}
        return {**occurrence, **{name: _NOTHING[name] for name, wanted in told.items() if not wanted}}


def is_private(occurrence: Occurrence) -> bool:
    """Whether an event is for its owner's eyes: app-only access shows it in full."""
    return str(occurrence["sensitivity"]).lower() != "normal"
