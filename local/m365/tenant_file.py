"""Tenants in JSON files, in the format of docs/tenant-file.md."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from local.m365 import contacts_api, schema
from local.m365.calendars import calendars_api, events, events_api
from local.m365.mailbox import MailboxState
from local.m365.tenant import ALL_PERMISSIONS
from local.m365.wire import GraphError

Text = Annotated[str, StringConstraints(min_length=1)]


class TenantFileError(Exception):
    """A tenant file that cannot be used; each problem names its field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class RedirectsPart(_Part):
    """Where sign-ins and consents may lead back to, by platform."""

    spa: tuple[Text, ...] = ()
    native: tuple[Text, ...] = ("http://localhost",)
    web: tuple[Text, ...] = ()


class AutomationPart(_Part):
    """Another application that calls the app."""

    client_id: UUID
    client_secret: Text
    roles: frozenset[str] = frozenset()


SCRIPTS = [
    AutomationPart(client_id=UUID(f"00000000-0000-0000-0000-0000000000{end}"), client_secret="secret", roles=frozenset({role}))
    for end, role in (("bb", "Rollcall.Admin"), ("cc", "Rollcall.Compliance"))
]


class AppPart(_Part):
    """The app registration. `roles` names, for each app role, the people who have it."""

    client_id: UUID = UUID("00000000-0000-0000-0000-0000000000aa")
    client_secret: Text = "secret"
    permissions: frozenset[str] = ALL_PERMISSIONS
    scoped_permissions: frozenset[str] = frozenset()
    redirect_uris: RedirectsPart = RedirectsPart()
    roles: dict[str, list[str]] = {}
    automation: list[AutomationPart] = SCRIPTS


class FolderPart(_Part):
    """A contact folder of a user."""

    display_name: Text
    contacts: list[dict[str, Any]] = []
    child_folders: list[FolderPart] = []

    @field_validator("contacts")
    @classmethod
    def _contacts(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _check_all("contact", value)


class EventPart(_Part):
    """An event or a series: any property that Graph takes. What differs in occurrences stands under their local days."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)

    exceptions: dict[date, dict[str, Any]] = {}
    cancelled: list[date] = []

    @property
    def values(self) -> dict[str, Any]:
        """What the event or series is made of."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _known(self) -> EventPart:
        _check("event", self.values)
        for day, values in self.exceptions.items():
            try:
                _check("event", {**self.values, "recurrence": None, **values})
            except ValueError as error:
                raise ValueError(f"exceptions.{day}: {error}") from None
        return self


class CalendarPart(_Part):
    """A calendar of a user, a shared mailbox or a room."""

    name: Text
    color: str = "auto"
    events: list[EventPart] = []

    @model_validator(mode="after")
    def _known(self) -> CalendarPart:
        _check("calendar", {"name": self.name, "color": self.color})
        return self


class _DirectoryPart(_Part):
    """A directory object: any property that Graph knows, besides those declared."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)

    id: UUID | None = None
    display_name: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The properties that go into the directory."""
        return {**({"displayName": self.display_name} if self.display_name else {}), **(self.model_extra or {})}


class UserPart(_DirectoryPart):
    """A user with what is in the mailbox."""

    user_principal_name: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]
    mailbox: MailboxState = MailboxState.OK
    photo: StrictInt | Base64Bytes | None = None
    contacts: list[dict[str, Any]] = []
    contact_folders: list[FolderPart] = []
    events: list[EventPart] = []
    calendars: list[CalendarPart] = []

    @field_validator("contacts")
    @classmethod
    def _contacts(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _check_all("contact", value)

    @model_validator(mode="after")
    def _known(self) -> UserPart:
        _check("user", self.values)
        return self


class GroupPart(_DirectoryPart):
    """A group; members are named by id, or users by userPrincipalName."""

    display_name: Text
    members: list[str] = []

    @model_validator(mode="after")
    def _known(self) -> GroupPart:
        _check("group", self.values)
        return self


class OrgContactPart(_DirectoryPart):
    """An organisation contact."""

    display_name: Text

    @model_validator(mode="after")
    def _known(self) -> OrgContactPart:
        _check("orgContact", self.values)
        return self


class TenantFile(_Part):
    """A whole tenant."""

    id: UUID
    display_name: Text
    region_scope: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,4}$")] = "EU"
    app: AppPart = AppPart()
    administrators: list[str] = []
    users: list[UserPart] = Field(default=[])
    groups: list[GroupPart] = []
    org_contacts: list[OrgContactPart] = []

    @model_validator(mode="after")
    def _names_are_unique(self) -> TenantFile:
        seen: set[str] = set()
        for index, user in enumerate(self.users):
            name = user.user_principal_name.lower()
            if name in seen:
                raise ValueError(f"users.{index}.userPrincipalName: '{name}' is there twice")
            seen.add(name)
        return self


def read(path: Path) -> TenantFile:
    """Read a tenant file. Raises TenantFileError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise TenantFileError([f"{path}: {error.strerror}"]) from None
    return parse(text)


def parse(source: bytes | dict[str, Any]) -> TenantFile:
    """Check a tenant given as JSON or as parsed JSON. Raises TenantFileError that names every wrong field."""
    try:
        return TenantFile.model_validate_json(source) if isinstance(source, bytes) else TenantFile.model_validate(source)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            problems.append(f"{place}: {message}" if place else message)
        raise TenantFileError(problems) from None


def _check(kind: str, values: dict[str, Any]) -> None:
    try:
        match kind:
            case "contact":
                contacts_api.contact_values(values)
            case "calendar":
                calendars_api.calendar_values(values)
            case "event":
                events.check_times(events_api.event_values(values)[0])
            case _:
                schema.check_body(kind, values)
    except GraphError as error:
        raise ValueError(error.message) from None


def _check_all(kind: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for index, values in enumerate(entries):
        try:
            _check(kind, values)
        except ValueError as error:
            raise ValueError(f"entry {index}: {error}") from None
    return entries
