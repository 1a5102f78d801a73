"""Acts of a user on contacts and their folders."""

from __future__ import annotations

from typing import Any, Literal

from local.m365.contacts_api import contact_values
from local.m365.control.orders import Strict
from local.m365.tenant import Tenant


class CreateContact(Strict):
    """The user adds a contact."""

    op: Literal["create"]
    folder: str = "contacts"
    values: dict[str, Any]


class EditContact(Strict):
    """The user edits a contact."""

    op: Literal["edit"]
    contact: str
    values: dict[str, Any]


class MoveContact(Strict):
    """The user moves a contact to another folder."""

    op: Literal["move"]
    contact: str
    folder: str


class DeleteContact(Strict):
    """The user deletes a contact: it goes to Deleted Items, or for good."""

    op: Literal["delete"]
    contact: str
    permanently: bool = False


class CreateFolder(Strict):
    """The user makes a folder."""

    op: Literal["createFolder"]
    name: str
    parent: str = "contacts"


class RenameFolder(Strict):
    """The user renames a folder."""

    op: Literal["renameFolder"]
    folder: str
    name: str


class MoveFolder(Strict):
    """The user nests a folder under another one."""

    op: Literal["moveFolder"]
    folder: str
    parent: str


class DeleteFolder(Strict):
    """The user deletes a folder."""

    op: Literal["deleteFolder"]
    folder: str
    permanently: bool = False


ContactAct = CreateContact | EditContact | MoveContact | DeleteContact | CreateFolder | RenameFolder | MoveFolder | DeleteFolder


def act_on_contacts(tenant: Tenant, user: str, act: ContactAct) -> str:
    """Carry it out. Returns the id of what was made, or "". Raises KeyError and GraphError."""
    box = tenant.mailbox(user)
    match act:
        case CreateContact():
            return box.create(tenant.folder(user, act.folder), *contact_values(act.values)).id
        case EditContact():
            box.change(box.find(act.contact), *contact_values(act.values))
        case MoveContact():
            box.move(box.find(act.contact), tenant.folder(user, act.folder))
        case DeleteContact():
            box.delete(box.find(act.contact), permanently=act.permanently)
        case CreateFolder():
            return box.create_folder(tenant.folder(user, act.parent), act.name).id
        case RenameFolder():
            box.rename_folder(tenant.folder(user, act.folder), act.name)
        case MoveFolder():
            box.move_folder(tenant.folder(user, act.folder), tenant.folder(user, act.parent))
        case DeleteFolder():
            box.delete_folder(tenant.folder(user, act.folder), permanently=act.permanently)
    return ""
