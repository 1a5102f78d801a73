"""Tenants from JSON files, in the format of docs/tenant-file.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid5

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
from local.m365.entra.apps import Automation, Redirects
from local.m365.mailbox import Folder, Mailbox, MailboxState
from local.m365.service import Microsoft365
from local.m365.tenant import ALL_PERMISSIONS, NAMESPACE, App, Tenant
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


class AppPart(_Part):
    """The app registration. `roles` names, for each app role, the people who have it."""

    client_id: UUID = UUID("00000000-0000-0000-0000-0000000000aa")
    client_secret: Text = "secret"
    permissions: frozenset[str] = ALL_PERMISSIONS
    scoped_permissions: frozenset[str] = frozenset()
    redirect_uris: RedirectsPart = RedirectsPart()
    roles: dict[str, list[str]] = {}
    automation: list[AutomationPart] = []


class FolderPart(_Part):
    """A contact folder of a user."""

    display_name: Text
    contacts: list[dict[str, Any]] = []
    child_folders: list[FolderPart] = []

    @field_validator("contacts")
    @classmethod
    def _contacts(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _check_all("contact", value)


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


def install(service: Microsoft365, file: TenantFile) -> Tenant:
    """Found the tenant. Raises TenantFileError for members nobody knows and for ids that are there twice."""
    app = App(
        str(file.app.client_id),
        file.app.client_secret,
        file.app.permissions,
        file.app.scoped_permissions,
        requested=file.app.permissions,
    )
    tenant = service.add_tenant(str(file.id), file.display_name, app, region=file.region_scope)
    for index, user in enumerate(file.users):
        values = {"userPrincipalName": user.user_principal_name, **user.values}
        try:
            key = tenant.add_user(values | ({"id": str(user.id)} if user.id else {}), user.mailbox)
        except ValueError as error:
            raise TenantFileError([f"users.{index}.id: {error}"]) from None
        tenant.set_photo(key, user.photo)
        _fill(tenant.mailboxes[key], user)
    for kind, collection, parts in (
        ("groups", tenant.directory.groups, file.groups),
        ("orgContacts", tenant.directory.org_contacts, file.org_contacts),
    ):
        for index, part in enumerate(parts):
            key = str(part.id or uuid5(NAMESPACE, f"{tenant.id}/{kind}/{index}"))
            try:
                collection.add({"id": key, **part.values})
            except ValueError as error:
                raise TenantFileError([f"{kind}.{index}.id: {error}"]) from None
    for index, group in enumerate(file.groups):
        key = str(group.id or uuid5(NAMESPACE, f"{tenant.id}/groups/{index}"))
        members = []
        for place, name in enumerate(group.members):
            found = tenant.directory.user(name)
            try:
                members.append(str(found["id"]) if found else name.lower())
                tenant.directory.kind_of(members[-1])
            except KeyError:
                raise TenantFileError([f"groups.{index}.members.{place}: nobody is called '{name}'"]) from None
        tenant.directory.join(key, members)
    _let_sign_in(tenant, file)
    return tenant


def _let_sign_in(tenant: Tenant, file: TenantFile) -> None:
    signs, part = tenant.app.sign_ins, file.app
    signs.redirects = Redirects(part.redirect_uris.spa, part.redirect_uris.native, part.redirect_uris.web)
    signs.administrators = {_user_id(tenant, name, f"administrators.{place}") for place, name in enumerate(file.administrators)}
    for role, names in part.roles.items():
        for place, name in enumerate(names):
            user = _user_id(tenant, name, f"app.roles.{role}.{place}")
            signs.roles[user] = signs.roles.get(user, frozenset()) | {role}
    for client in part.automation:
        key = str(client.client_id)
        service_principal = str(uuid5(NAMESPACE, f"{tenant.id}/servicePrincipals/{key}"))
        signs.automation[key] = Automation(key, client.client_secret, service_principal, client.roles)


def _user_id(tenant: Tenant, name: str, place: str) -> str:
    user = tenant.directory.user(name)
    if user is None:
        raise TenantFileError([f"{place}: nobody is called '{name}'"])
    return str(user["id"])


def _fill(mailbox: Mailbox, user: UserPart) -> None:
    for values in user.contacts:
        mailbox.create(mailbox.contacts, *contacts_api.contact_values(values))
    for part in user.contact_folders:
        _fill_folder(mailbox, mailbox.contacts, part)


def _fill_folder(mailbox: Mailbox, parent: Folder, part: FolderPart) -> None:
    folder = mailbox.create_folder(parent, part.display_name)
    for values in part.contacts:
        mailbox.create(folder, *contacts_api.contact_values(values))
    for child in part.child_folders:
        _fill_folder(mailbox, folder, child)


def _check(kind: str, values: dict[str, Any]) -> None:
    try:
        if kind == "contact":
            contacts_api.contact_values(values)
        else:
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
