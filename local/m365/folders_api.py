"""Contact folders over Graph.

graph/api/resources/contactfolder, graph/api/user-list-contactfolders, graph/api/contactfolder-list-childfolders,
graph/api/contactfolder-update, graph/api/contactfolder-delete, graph/api/contactfolder-permanentdelete.
"""

from __future__ import annotations

from typing import Any

from local.m365 import odata, schema
from local.m365.call import Call
from local.m365.mailbox import Folder
from local.m365.outlook import chosen, context, extended_values, folder_at, page
from local.m365.wire import GraphError, Reply


def list_folders(call: Call) -> Reply:
    """The folders below the default folder, which is not among them itself."""
    return _folders_below(call, call.box.contacts)


def list_child_folders(call: Call) -> Reply:
    """The folders below a folder."""
    return _folders_below(call, folder_at(call))


def _folders_below(call: Call, parent: Folder) -> Reply:
    odata.allow(call.query, "$select", "$expand", "$filter", "$top", "$skip", "$count")
    found: list[Folder] = list(parent.children.values())
    if "$filter" in call.query:
        predicate = odata.read_filter(call.query["$filter"], "contactFolder")
        found = [folder for folder in found if predicate({**_folder_fields(folder), odata.EXTENDED: folder.extended})]
    return page(call, found, "contactFolders", lambda folder: _show_folder(call, folder))


def get_folder(call: Call) -> Reply:
    """One folder, wherever it lies."""
    odata.allow(call.query, "$select", "$expand")
    return Reply(200, {"@odata.context": context(call, "contactFolders", "/$entity"), **_show_folder(call, folder_at(call))})


def create_folder(call: Call) -> Reply:
    """Make a folder below the default folder."""
    return _create_folder(call, call.box.contacts)


def create_child_folder(call: Call) -> Reply:
    """Make a folder below a folder."""
    return _create_folder(call, folder_at(call))


def _create_folder(call: Call, parent: Folder) -> Reply:
    odata.allow(call.query)
    schema.check_body("contactFolder", call.body)
    name, extended = _folder_values(call.body)
    if not name:
        raise GraphError(400, "ErrorInvalidRequest", "The display name of a folder must not be empty.")
    folder = call.box.create_folder(parent, name, extended)
    return Reply(201, {"@odata.context": context(call, "contactFolders", "/$entity"), **_folder_fields(folder)})


def update_folder(call: Call) -> Reply:
    """Rename a folder, or set its extended properties."""
    odata.allow(call.query)
    schema.check_body("contactFolder", call.body)
    folder = folder_at(call)
    name, extended = _folder_values(call.body)
    if name:
        call.box.rename_folder(folder, name)
    folder.extended.update(extended)
    return Reply(200, {"@odata.context": context(call, "contactFolders", "/$entity"), **_folder_fields(folder)})


def delete_folder(call: Call) -> Reply:
    """Move a folder to Deleted Items."""
    odata.allow(call.query)
    call.box.delete_folder(folder_at(call))
    return Reply(204)


def destroy_folder(call: Call) -> Reply:
    """Remove a folder and what is in it for good (graph/api/contactfolder-permanentdelete)."""
    odata.allow(call.query)
    call.box.delete_folder(folder_at(call), permanently=True)
    return Reply(204)


def _folder_values(body: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return str(body.get("displayName") or "").strip(), extended_values(body)


def _folder_fields(folder: Folder) -> dict[str, Any]:
    return {"id": folder.id, "displayName": folder.name, "parentFolderId": folder.parent.id if folder.parent else None}


def _show_folder(call: Call, folder: Folder) -> dict[str, Any]:
    return chosen(call, "contactFolder", _folder_fields(folder), folder.extended)
