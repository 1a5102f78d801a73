"""Every path that is served, the application permissions it accepts, and the handler behind it.

The permissions are those of the pages of each method ("Permissions" table, application).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from local.m365 import contact_delta, contacts_api, directory_api, directory_delta, folders_api, photos_api
from local.m365.calendars import calendars_api, events_api, view_delta
from local.m365.call import Call
from local.m365.wire import GraphError, Reply

Handler = Callable[[Call], Reply]

_DIRECTORY = ("Directory.Read.All", "Directory.ReadWrite.All")
_USERS = ("User.Read.All", "User.ReadWrite.All", *_DIRECTORY)
_USERS_BASIC = ("User.ReadBasic.All", *_USERS)
_GROUPS = ("Group.Read.All", "Group.ReadBasic.All", "Group.ReadWrite.All", "GroupMember.Read.All", *_DIRECTORY)
_MEMBERS = ("GroupMember.ReadBasic.All", "GroupMember.ReadWrite.All", *_GROUPS)
_ORG_CONTACTS = ("OrgContact.Read.All", *_DIRECTORY)
_ORGANIZATION = ("Organization.Read.All", "Organization.ReadWrite.All", "User.Read.All", *_DIRECTORY)
_READ = ("Contacts.Read", "Contacts.ReadWrite")
_WRITE = ("Contacts.ReadWrite",)
_READ_CALENDARS = ("Calendars.Read", "Calendars.ReadWrite")
_WRITE_CALENDARS = ("Calendars.ReadWrite",)
_PHOTOS = ("ProfilePhoto.Read.All", "ProfilePhoto.ReadWrite.All")

_FOLDER = "/users/{id}/contactfolders/{id}"
_CALENDAR = "/users/{id}/calendars/{id}"
_EVENT = "/users/{id}/events/{id}"
_TABLE: list[tuple[str, str, tuple[str, ...], Handler]] = [
    ("GET", "/users", _USERS_BASIC, directory_api.list_users),
    ("GET", "/users/delta", _USERS, directory_delta.users_delta),
    ("GET", "/users/{id}", _USERS_BASIC, directory_api.get_user),
    ("GET", "/groups", _GROUPS, directory_api.list_groups),
    ("GET", "/groups/delta", _GROUPS, directory_delta.groups_delta),
    ("GET", "/groups/{id}", _GROUPS, directory_api.get_group),
    ("GET", "/groups/{id}/members", _MEMBERS, directory_api.list_members),
    ("GET", "/groups/{id}/transitivemembers", _MEMBERS, directory_api.list_transitive_members),
    ("GET", "/contacts", _ORG_CONTACTS, directory_api.list_org_contacts),
    ("GET", "/contacts/delta", _ORG_CONTACTS, directory_delta.org_contacts_delta),
    ("GET", "/contacts/{id}", _ORG_CONTACTS, directory_api.get_org_contact),
    ("GET", "/organization", _ORGANIZATION, directory_api.list_organization),
    ("GET", "/users/{id}/contacts", _READ, contacts_api.list_default),
    ("POST", "/users/{id}/contacts", _WRITE, contacts_api.create_default),
    ("GET", "/users/{id}/contacts/{id}", _READ, contacts_api.get_contact),
    ("PATCH", "/users/{id}/contacts/{id}", _WRITE, contacts_api.update_contact),
    ("DELETE", "/users/{id}/contacts/{id}", _WRITE, contacts_api.delete_contact),
    ("POST", "/users/{id}/contacts/{id}/permanentdelete", _WRITE, contacts_api.destroy_contact),
    ("GET", "/users/{id}/photo", _PHOTOS, photos_api.get_user_photo),
    ("GET", "/users/{id}/photo/$value", _PHOTOS, photos_api.get_user_photo_value),
    ("GET", "/users/{id}/photos", _PHOTOS, photos_api.list_user_photos),
    ("GET", "/users/{id}/photos/{id}", _PHOTOS, photos_api.get_user_photo_size),
    ("GET", "/users/{id}/photos/{id}/$value", _PHOTOS, photos_api.get_user_photo_size_value),
    ("GET", "/users/{id}/contacts/{id}/photo", _READ, photos_api.get_contact_photo),
    ("GET", "/users/{id}/contacts/{id}/photo/$value", _READ, photos_api.get_contact_photo_value),
    ("PUT", "/users/{id}/contacts/{id}/photo/$value", _WRITE, photos_api.put_contact_photo),
    ("GET", "/users/{id}/contactfolders", _READ, folders_api.list_folders),
    ("POST", "/users/{id}/contactfolders", _WRITE, folders_api.create_folder),
    ("GET", _FOLDER, _READ, folders_api.get_folder),
    ("PATCH", _FOLDER, _WRITE, folders_api.update_folder),
    ("DELETE", _FOLDER, _WRITE, folders_api.delete_folder),
    ("POST", f"{_FOLDER}/permanentdelete", _WRITE, folders_api.destroy_folder),
    ("GET", f"{_FOLDER}/childfolders", _READ, folders_api.list_child_folders),
    ("POST", f"{_FOLDER}/childfolders", _WRITE, folders_api.create_child_folder),
    ("GET", f"{_FOLDER}/contacts", _READ, contacts_api.list_in_folder),
    ("POST", f"{_FOLDER}/contacts", _WRITE, contacts_api.create_in_folder),
    ("GET", f"{_FOLDER}/contacts/delta", _READ, contact_delta.contacts_delta),
    ("GET", f"{_FOLDER}/contacts/{{id}}", _READ, contacts_api.get_contact),
    ("PATCH", f"{_FOLDER}/contacts/{{id}}", _WRITE, contacts_api.update_contact),
    ("DELETE", f"{_FOLDER}/contacts/{{id}}", _WRITE, contacts_api.delete_contact),
    ("POST", f"{_FOLDER}/contacts/{{id}}/permanentdelete", _WRITE, contacts_api.destroy_contact),
    ("GET", "/users/{id}/calendar", _READ_CALENDARS, calendars_api.get_default),
    ("GET", "/users/{id}/calendars", _READ_CALENDARS, calendars_api.list_calendars),
    ("POST", "/users/{id}/calendars", _WRITE_CALENDARS, calendars_api.create_calendar),
    ("GET", _CALENDAR, _READ_CALENDARS, calendars_api.get_calendar),
    ("PATCH", _CALENDAR, _WRITE_CALENDARS, calendars_api.update_calendar),
    ("DELETE", _CALENDAR, _WRITE_CALENDARS, calendars_api.delete_calendar),
    ("GET", "/users/{id}/events", _READ_CALENDARS, events_api.list_default),
    ("POST", "/users/{id}/events", _WRITE_CALENDARS, events_api.create_default),
    ("GET", f"{_CALENDAR}/events", _READ_CALENDARS, events_api.list_in_calendar),
    ("POST", f"{_CALENDAR}/events", _WRITE_CALENDARS, events_api.create_in_calendar),
    ("GET", "/users/{id}/calendarview", _READ_CALENDARS, events_api.view_default),
    ("GET", "/users/{id}/calendarview/delta", _READ_CALENDARS, view_delta.default_delta),
    ("GET", f"{_CALENDAR}/calendarview", _READ_CALENDARS, events_api.view_in_calendar),
    ("GET", f"{_CALENDAR}/calendarview/delta", _READ_CALENDARS, view_delta.calendar_delta),
    *(
        route
        for event in (_EVENT, f"{_CALENDAR}/events/{{id}}")
        for route in (
            ("GET", event, _READ_CALENDARS, events_api.get_event),
            ("PATCH", event, _WRITE_CALENDARS, events_api.update_event),
            ("DELETE", event, _WRITE_CALENDARS, events_api.delete_event),
            ("POST", f"{event}/permanentdelete", _WRITE_CALENDARS, events_api.destroy_event),
            ("GET", f"{event}/instances", _READ_CALENDARS, events_api.instances),
        )
    ),
    ("GET", f"{_EVENT}/calendar", _READ_CALENDARS, events_api.calendar_of),
    *(
        ("GET", f"/groups/{{id}}/{what}", _READ_CALENDARS, events_api.refuse_group)
        for what in ("calendar", "events", "calendarview", "calendarview/delta")
    ),
    ("GET", f"{_FOLDER}/contacts/{{id}}/photo", _READ, photos_api.get_contact_photo),
    ("GET", f"{_FOLDER}/contacts/{{id}}/photo/$value", _READ, photos_api.get_contact_photo_value),
    ("PUT", f"{_FOLDER}/contacts/{{id}}/photo/$value", _WRITE, photos_api.put_contact_photo),
]


@dataclass(frozen=True, slots=True)
class Route:
    """A method on a path template."""

    template: str
    permissions: frozenset[str]
    handler: Handler

    @property
    def outlook(self) -> bool:
        """Whether a mailbox answers, not the directory."""
        return self.template.startswith("/users/{id}/")

    @property
    def profile(self) -> bool:
        """Whether the photo of a user is asked for, which one without a mailbox may have in the directory."""
        return self.template.startswith("/users/{id}/photo")


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)


def _tree() -> _Node:
    root = _Node()
    for method, template, permissions, handler in _TABLE:
        node = root
        for segment in template.split("/")[1:]:
            if segment == "{id}":
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literal.setdefault(segment, _Node())
        node.routes[method] = Route(template, frozenset(permissions), handler)
    return root


_ROOT = _tree()


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The route of a path without query, and the decoded ids in it. Raises GraphError as Graph does for paths it does not know.

    Segments are compared without regard to case; a function may be written `delta`, `delta()` or `microsoft.graph.delta()`.
    A chain of child folders counts as one folder, its ids joined by line ends.
    """
    node = _ROOT
    params: list[str] = []
    segments = path.strip("/").split("/")
    chained = False
    for index, segment in enumerate(segments):
        name = segment.lower()
        if name.endswith("()"):
            name = name[:-2]
        step = node.literal.get(name) or node.literal.get(name.removeprefix("microsoft.graph."))
        if step is not None and name == "childfolders" and index + 1 < len(segments):
            chained = True  # stay at the folder: the next segment goes deeper
            continue
        if step is None:
            if node.parameter is None and not chained:
                raise _unknown(segment)
            value = unquote(segment)
            if chained:
                params[-1] += f"\n{value}"
                chained = False
                continue
            params.append(value)
            step = node.parameter
        assert step is not None
        node = step
    route = node.routes.get(method)
    if route is None:
        if not node.routes:
            raise _unknown(segments[-1])
        raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
    return route, tuple(params)


def _unknown(segment: str) -> GraphError:
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")
