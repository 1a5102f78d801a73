"""From a tenant file to a tenant of the stand-in."""

from __future__ import annotations

from uuid import uuid5

from local.m365.calendars.events import Calendar
from local.m365.calendars.events_api import event_values
from local.m365.calendars.store import Calendars
from local.m365.contacts_api import contact_values
from local.m365.entra.apps import Automation, Redirects
from local.m365.mailbox import Folder, Mailbox
from local.m365.service import Microsoft365
from local.m365.tenant import NAMESPACE, App, Tenant
from local.m365.tenant_file import EventPart, FolderPart, TenantFile, TenantFileError, UserPart
from local.m365.wire import GraphError


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
        _fill(tenant.mailboxes[key], user, f"users.{index}")
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


def _fill(mailbox: Mailbox, user: UserPart, place: str) -> None:
    for values in user.contacts:
        mailbox.create(mailbox.contacts, *contact_values(values))
    for part in user.contact_folders:
        _fill_folder(mailbox, mailbox.contacts, part)
    if user.events or user.calendars:
        _fill_calendars(mailbox.calendars, user, place)


def _fill_calendars(calendars: Calendars, user: UserPart, place: str) -> None:
    for index, event in enumerate(user.events):
        _add_event(calendars, calendars.default, event, f"{place}.events.{index}")
    for number, wanted in enumerate(user.calendars):
        try:
            calendar = calendars.create_calendar(wanted.name, color=wanted.color)
        except GraphError as error:
            raise TenantFileError([f"{place}.calendars.{number}.name: {error.message}"]) from None
        for index, event in enumerate(wanted.events):
            _add_event(calendars, calendar, event, f"{place}.calendars.{number}.events.{index}")
    calendars.mailed.clear()  # invitations went out long ago


def _fill_folder(mailbox: Mailbox, parent: Folder, part: FolderPart) -> None:
    folder = mailbox.create_folder(parent, part.display_name)
    for values in part.contacts:
        mailbox.create(folder, *contact_values(values))
    for child in part.child_folders:
        _fill_folder(mailbox, folder, child)


def _add_event(calendars: Calendars, calendar: Calendar, part: EventPart, place: str) -> None:
    event = calendars.create(calendar, *event_values(part.values))
    for what, days in (("exceptions", part.exceptions), ("cancelled", part.cancelled)):
        for day in days:
            try:
                shown = calendars.on_day(event.id, day)
            except GraphError:
                raise TenantFileError([f"{place}.{what}: the series is not on {day}"]) from None
            if what == "cancelled":
                calendars.delete(shown)
            else:
                calendars.change(shown, *event_values(part.exceptions[day]))
