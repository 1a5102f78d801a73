"""What an admin configures, checked at the edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from sync_core.countries import known_region
from sync_core.errors import InputError
from sync_core.event_rules import EventRules, Label
from sync_core.events import owned
from sync_core.fields import Fields
from sync_core.hiding import CardField
from sync_core.kinds import CONTACTS, EVENTS, Kind
from sync_core.schedules import Daily, Schedule
from sync_core.selection import OptionalRule, Selection

Model = TypeVar("Model", bound=BaseModel)
MOST_SOURCES = 20
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TargetChoice(_Strict):
    """The users named, the members of groups (nested ones too), and whom a rule holds for: all of these together."""

    mailboxes: tuple[UUID, ...] = ()
    groups: Annotated[tuple[UUID, ...], Field(max_length=MOST_SOURCES)] = ()
    rule: OptionalRule = None


def _choice(value: object) -> str:
    """Which way targets are named. The bracket keeps the tag out of the paths of errors (see `parse`)."""
    return "targets[choice]" if isinstance(value, Mapping | TargetChoice) else "targets[list]"


def _include(value: object) -> str:
    return "targets[all]" if isinstance(value, str) else _choice(value)


class Targets(_Strict):
    """Whose mailboxes get the folder: of all usable ones those to `include`, never those to `exclude`.

    `leavers` says what becomes of the contacts in the mailboxes that are targets no more.
    """

    include: Annotated[
        Annotated[Literal["all"], Tag("targets[all]")]
        | Annotated[tuple[UUID, ...], Tag("targets[list]")]
        | Annotated[TargetChoice, Tag("targets[choice]")],
        Discriminator(_include),
    ] = "all"
    exclude: Annotated[
        Annotated[tuple[UUID, ...], Tag("targets[list]")] | Annotated[TargetChoice, Tag("targets[choice]")],
        Discriminator(_choice),
    ] = ()
    leavers: Literal["remove", "keep"] = "remove"

    @property
    def groups(self) -> set[UUID]:
        """Every group that is named."""
        return {group for choice in (self.include, self.exclude) if isinstance(choice, TargetChoice) for group in choice.groups}


class SelfService(_Strict):
    """What employees may choose for their own mailbox: the list at all, unless it is required, and to pause it.

    With `opt_out` every target has the list who does not decline it, with `opt_in` who asks for it.
    """

    list: Literal["required", "opt_out", "opt_in"] = "required"
    pause: bool = False


class Brakes(_Strict):
    """A drop or a mailbox's deletions hold when they exceed `percent` of what there was and are `at_least` many."""

    percent: int = Field(default=20, ge=1, le=100)
    at_least: int = Field(default=10, ge=1, le=1_000_000)


class _Source(_Strict):
    """Where people come from, and which of them (all, unless a `selection` says otherwise)."""

    selection: Selection | None = None


class FromDirectory(_Source):
    """The users of the directory."""

    kind: Literal["directory"] = "directory"


class FromGroup(_Source):
    """The members of a group, of the groups inside it too."""

    kind: Literal["group"]
    id: UUID


class FromOrgContacts(_Source):
    """The organisation contacts of the directory."""

    kind: Literal["orgContacts"]


class FromMailbox(_Source):
    """The contacts in a folder of a mailbox: of that name, or "default" for the one that is called Contacts in English."""

    kind: Literal["mailbox"]
    mailbox: UUID
    folder: Name


class FromFile(_Source):
    """The people of an uploaded file."""

    kind: Literal["file"]
    id: SourceName


class FromPush(_Source):
    """The people whom another system pushes."""

    kind: Literal["push"]
    id: SourceName


class FromCalendar(_Strict):
    """A calendar of a mailbox: of that name, or "default" for the one that is called Calendar in English.

    In the mirror, `prefix` stands before the subjects of its events, and `category` is one of their categories.
    """

    kind: Literal["calendar"]
    mailbox: UUID
    calendar: Name = "default"
    prefix: Label | None = None
    category: Label | None = None

    @property
    def selection(self) -> None:
        """People are selected; events follow the rules of the sync."""
        return


def _kind(value: object) -> str:
    """Which model a source is. The bracket keeps the tag out of the paths of errors (see `parse`)."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"source[{kind}]"


SourceDefinition = Annotated[
    Annotated[FromDirectory, Tag("source[directory]")]
    | Annotated[FromGroup, Tag("source[group]")]
    | Annotated[FromOrgContacts, Tag("source[orgContacts]")]
    | Annotated[FromMailbox, Tag("source[mailbox]")]
    | Annotated[FromFile, Tag("source[file]")]
    | Annotated[FromPush, Tag("source[push]")]
    | Annotated[FromCalendar, Tag("source[calendar]")],
    Discriminator(
        _kind,
        custom_error_type="source",
        custom_error_message="needs a kind: directory, group, orgContacts, mailbox, file, push or calendar",
    ),
]


class SyncDefinition(_Strict):
    """A named sync: the people of its sources into one contact folder of each target mailbox, or calendars into one calendar.

    `folder` is what the contact folder or calendar is called, `events` are the rules of a sync of calendars. Of a person whom
    several sources know, each field comes from the first one that has it. A source's own selection is asked before people are
    merged, that of the sync afterwards. `own_card` says whether users find themselves in the list. `photos` are at most that
    large.
    """

    name: Name
    folder: Name | None  # None: the default contacts folder, among the user's own
    sources: Annotated[tuple[SourceDefinition, ...], Field(min_length=1, max_length=MOST_SOURCES)] = (FromDirectory(),)
    selection: Selection = Selection()
    targets: Targets = Targets()
    fields: Fields = Fields()
    events: EventRules | None = None
    own_card: Literal["show", "leave_out"] = "show"
    photos: Literal["none", "240x240", "360x360"] = "none"
    on_user_edit: Literal["overwrite", "keep"] = "overwrite"
    on_user_delete: Literal["restore", "respect"] = "restore"
    brakes: Brakes = Brakes()
    self_service: SelfService = SelfService()
    schedule: Schedule = Daily(kind="daily", at="02:00", time_zone="UTC", spread_minutes=60)
    purge_after_sync: bool = False

    @property
    def groups(self) -> set[UUID]:
        """Every group whose members decide who is in the list and who gets it."""
        selections = [self.selection, *(source.selection for source in self.sources if source.selection is not None)]
        return self.targets.groups.union(*(selection.exclude_groups for selection in selections))

    @property
    def photo_side(self) -> int:
        """Pixels of the side of photos; 0 for none."""
        return 0 if self.photos == "none" else int(self.photos.partition("x")[0])

    @field_validator("sources")
    @classmethod
    def _each_once(cls, value: tuple[SourceDefinition, ...]) -> tuple[SourceDefinition, ...]:
        named = [source.model_dump(exclude={"selection", "prefix", "category"}) for source in value]
        if any(source in named[:at] for at, source in enumerate(named)):
            raise ValueError("must not name the same source twice")
        return value

    @field_validator("folder")
    @classmethod
    def _folder_name(cls, value: str | None) -> str | None:
        if any(ord(character) < 32 for character in value or ""):
            raise ValueError("must not hold control characters")
        return value

    @field_validator("sources")
    @classmethod
    def _of_one_kind(cls, value: tuple[SourceDefinition, ...], info: ValidationInfo) -> tuple[SourceDefinition, ...]:
        calendars = sum(isinstance(source, FromCalendar) for source in value)
        if calendars not in (0, len(value)):
            raise ValueError("must be calendars or people, not both")
        if calendars and info.data.get("folder", "") is None:
            raise ValueError("need the name of a calendar in `folder`: events never go among the user's own")
        return value

    @field_validator("selection", "fields", "photos", "events", "on_user_edit")
    @classmethod
    def _fits_the_kind(cls, value: object, info: ValidationInfo) -> object:
        sources = info.data.get("sources", ())
        calendars = any(isinstance(source, FromCalendar) for source in sources)
        if info.field_name == "events":
            if value is not None and sources and not calendars:
                raise ValueError("is for calendars")
        elif calendars and value not in (Selection(), Fields(), "none", "overwrite"):
            raise ValueError("is for people: what becomes of events is told by `events`")
        return value

    @property
    def kind(self) -> Kind:
        """What the sync mirrors."""
        return EVENTS if isinstance(self.sources[0], FromCalendar) else CONTACTS

    @property
    def event_rules(self) -> EventRules:
        """The rules for events."""
        return self.events or EventRules()

    @property
    def color(self) -> str:
        """The colour of the calendar in each mailbox; "" where the sync has no calendars."""
        return self.event_rules.color if self.kind is EVENTS else ""

    @property
    def owned(self) -> tuple[str, ...]:
        """The fields that the sync writes, reads and compares."""
        return owned(self.event_rules) if self.kind is EVENTS else self.fields.owned


class Retention(_Strict):
    """How many days what is no cache is kept: runs, the audit trail, and privacy requests after their end."""

    runs: int = Field(default=365, ge=30, le=730)
    audit: int = Field(default=1095, ge=365, le=3650)
    requests: int = Field(default=1095, ge=365, le=3650)


class TenantSettings(_Strict):
    """What holds for all syncs of a tenant.

    `default_country` (ISO 3166 alpha-2) reads the phone numbers of people without a country. With `four_eyes`, a privacy request
    is confirmed by another person than made it. `hideable` are the fields of their own cards that employees may hide.
    """

    default_country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    retention: Retention = Retention()
    four_eyes: bool = False
    hideable: tuple[CardField, ...] = ()

    @field_validator("hideable")
    @classmethod
    def _in_order(cls, value: tuple[CardField, ...]) -> tuple[CardField, ...]:
        return tuple(name for name in CardField if name in value)

    @field_validator("default_country")
    @classmethod
    def _is_a_country(cls, value: str | None) -> str | None:
        if value is not None and known_region(value) is None:
            raise ValueError("is no country: use a code such as DE")
        return value


def parse(model: type[Model], value: object) -> Model:
    """Check `value` against `model`. Raises InputError that names the first wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        field, problem = problems_in(error)[0]
        raise InputError(field, problem) from None


def problems_in(error: ValidationError) -> list[tuple[str, str]]:
    """Every wrong field by its path, and what is wrong with it; nothing of what was sent."""
    wrong = error.errors(include_url=False, include_input=False)
    within = {found["loc"][:depth] for found in wrong for depth in range(len(found["loc"]))}
    # a list whose only entry is wrong would be called too short as well
    told = (found for found in wrong if found["type"] != "too_short" or found["loc"] not in within)
    return [(_path(found["loc"]), found["msg"].removeprefix("Value error, ")) for found in told]


def _path(parts: Sequence[int | str]) -> str:
    # Pydantic puts the alternatives of a union into the path, such as "tuple[UUID, ...]": no field's name ends like that
    return ".".join(str(part) for part in parts if not str(part).endswith("]"))
