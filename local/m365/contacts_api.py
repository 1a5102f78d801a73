"""Contacts and contact folders over Graph.

graph/api/resources/contact, .../contactfolder, graph/api/user-post-contacts, graph/api/contactfolder-post-contacts,
graph/api/contact-update, graph/api/contact-delete, graph/api/contact-permanentdelete, graph/api/user-list-contactfolders,
graph/api/contactfolder-list-childfolders, graph/api/singlevaluelegacyextendedproperty-get.
"""

from __future__ import annotations

from collections import ChainMap
from datetime import datetime
from typing import Any

from local.m365 import odata, schema
from local.m365.call import Call
from local.m365.mailbox import Contact, Folder, Mailbox, not_found
from local.m365.wire import GraphError, Reply

PAGE = 10  # graph/api/user-list-contacts: the default page
LARGEST_PAGE = 999
LIMITS = {"emailAddresses": 3, "businessPhones": 2, "homePhones": 2, "imAddresses": 3}
EMPTY: dict[str, Any] = {
    "birthday": None,
    "fileAs": "",
    "displayName": "",
    "givenName": None,
    "initials": None,
    "middleName": None,
    "nickName": None,
    "surname": None,
    "title": None,
    "yomiGivenName": None,
    "yomiSurname": None,
    "yomiCompanyName": None,
    "generation": None,
    "imAddresses": [],
    "jobTitle": None,
    "companyName": None,
    "department": None,
    "officeLocation": None,
    "profession": None,
    "businessHomePage": None,
    "assistantName": None,
    "manager": None,
    "homePhones": [],
    "mobilePhone": None,
    "businessPhones": [],
    "spouseName": None,
    "personalNotes": "",
    "children": [],
    "categories": [],
    "emailAddresses": [],
    "homeAddress": {},
    "businessAddress": {},
    "otherAddress": {},
}


def stamp(moment: datetime) -> str:
    """A time as Outlook writes it: whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


# --- folders ---------------------------------------------------------------------------------------------------------


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
    return _page(call, found, "contactFolders", lambda folder: _show_folder(call, folder))


def get_folder(call: Call) -> Reply:
    """One folder, wherever it lies."""
    odata.allow(call.query, "$select", "$expand")
    return Reply(200, {"@odata.context": _context(call, "contactFolders", "/$entity"), **_show_folder(call, folder_at(call))})


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
    return Reply(201, {"@odata.context": _context(call, "contactFolders", "/$entity"), **_folder_fields(folder)})


def update_folder(call: Call) -> Reply:
    """Rename a folder, or set its extended properties."""
    odata.allow(call.query)
    schema.check_body("contactFolder", call.body)
    folder = folder_at(call)
    name, extended = _folder_values(call.body)
    if name:
        call.box.rename_folder(folder, name)
    folder.extended.update(extended)
    return Reply(200, {"@odata.context": _context(call, "contactFolders", "/$entity"), **_folder_fields(folder)})


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


def folder_at(call: Call) -> Folder:
    """The folder that the path names: the second parameter, or the last of a chain of child folders."""
    chain = call.params[1].split("\n")
    folder = call.box.find_folder(chain[0])
    for text in chain[1:]:
        child = call.box.find_folder(text)
        if child.parent is not folder:
            raise not_found()
        folder = child
    return folder


def _folder_values(body: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return str(body.get("displayName") or "").strip(), _extended(body)


def _folder_fields(folder: Folder) -> dict[str, Any]:
    return {"id": folder.id, "displayName": folder.name, "parentFolderId": folder.parent.id if folder.parent else None}


def _show_folder(call: Call, folder: Folder) -> dict[str, Any]:
    return _chosen(call, "contactFolder", _folder_fields(folder), folder.extended)


# --- contacts --------------------------------------------------------------------------------------------------------


def list_default(call: Call) -> Reply:
    """The contacts of the default folder."""
    return _list(call, call.box.contacts)


def list_in_folder(call: Call) -> Reply:
    """The contacts of a folder."""
    return _list(call, folder_at(call))


def _list(call: Call, folder: Folder) -> Reply:
    odata.allow(call.query, "$select", "$expand", "$filter", "$top", "$skip", "$count")
    found: list[Contact] = list(folder.contacts.values())
    if "$filter" in call.query:
        predicate = odata.read_filter(call.query["$filter"], "contact")
        found = [item for item in found if predicate(ChainMap({odata.EXTENDED: item.extended}, item.values, EMPTY))]
    immutable = call.prefer.immutable_ids
    return _page(
        call, found, "contacts", lambda item: _chosen(call, "contact", show(call.box, item, immutable=immutable), item.extended)
    )


def get_contact(call: Call) -> Reply:
    """One contact."""
    odata.allow(call.query, "$select", "$expand")
    return _answer(call, 200, contact_at(call))


def create_default(call: Call) -> Reply:
    """Make a contact in the default folder."""
    return _create(call, call.box.contacts)


def create_in_folder(call: Call) -> Reply:
    """Make a contact in a folder."""
    return _create(call, folder_at(call))


def _create(call: Call, folder: Folder) -> Reply:
    odata.allow(call.query)
    values, extended = contact_values(call.body)
    contact = call.box.create(folder, values, extended)
    shown = show(call.box, contact, immutable=call.prefer.immutable_ids)
    shown["@odata.context"] = _context(call, "contacts", "/$entity")
    return Reply(
        201, shown, {"Location": f"{call.base}/v1.0/users/{call.box.owner}/contacts/{shown['id']}", "ETag": shown["@odata.etag"]}
    )


def update_contact(call: Call) -> Reply:
    """Change the properties that the body names."""
    odata.allow(call.query)
    contact = contact_at(call)
    _check_etag(call, contact)
    values, extended = contact_values(call.body)
    call.box.change(contact, values, extended)
    return _answer(call, 200, contact)


def delete_contact(call: Call) -> Reply:
    """Move a contact to Deleted Items."""
    odata.allow(call.query)
    contact = contact_at(call)
    _check_etag(call, contact)
    call.box.delete(contact)
    return Reply(204)


def destroy_contact(call: Call) -> Reply:
    """Remove a contact for good."""
    odata.allow(call.query)
    call.box.delete(contact_at(call), permanently=True)
    return Reply(204)


def contact_at(call: Call) -> Contact:
    """The contact that the path names: anywhere in the mailbox, or only in the folder that the path names as well."""
    contact = call.box.find(call.params[-1])
    if len(call.params) > 2 and contact.folder is not folder_at(call):
        raise not_found()
    return contact


def show(box: Mailbox, contact: Contact, *, immutable: bool) -> dict[str, Any]:
    """All of a contact but its extended properties."""
    key = box.change_key(contact)
    return {
        "@odata.etag": f'W/"{key}"',
        "id": box.contact_id(contact, immutable=immutable),
        "createdDateTime": stamp(contact.created),
        "lastModifiedDateTime": stamp(contact.modified),
        "changeKey": key,
        "parentFolderId": contact.folder.id,
        **EMPTY,
        **contact.values,
    }


def _answer(call: Call, status: int, contact: Contact) -> Reply:
    shown = _chosen(call, "contact", show(call.box, contact, immutable=call.prefer.immutable_ids), contact.extended)
    return Reply(status, {"@odata.context": _context(call, "contacts", "/$entity"), **shown}, {"ETag": shown["@odata.etag"]})


def _check_etag(call: Call, contact: Contact) -> None:
    wanted = call.headers.get("if-match")
    if wanted is not None and wanted != "*" and wanted != f'W/"{call.box.change_key(contact)}"':
        message = (
            "The send or update operation could not be performed because the change key passed in the request does not match."
        )
        raise GraphError(412, "ErrorIrresolvableConflict", message)


def contact_values(body: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Check the body of a POST or PATCH and split off the extended properties."""
    schema.check_body("contact", body)
    for name, limit in LIMITS.items():
        entries = body.get(name)
        if entries is not None and len(entries) > limit:
            # https://github.com/microsoftgraph/microsoft-graph-docs/issues/15276
            title = name[0].upper() + name[1:]
            message = (
                f"The multi value property {title} has {len(entries)} entries, that exceeds the max allowed value of {limit}"
            )
            raise GraphError(400, "ErrorInvalidArgument", message)
    values = {name: value for name, value in body.items() if name not in (odata.EXTENDED, "@odata.type")}
    for name, value in values.items():
        if value is None and isinstance(EMPTY.get(name), list | dict):
            values[name] = EMPTY[name]
    if values.get("emailAddresses"):
        values["emailAddresses"] = [
            {**entry, "name": entry.get("name") or entry.get("address")} for entry in values["emailAddresses"]
        ]
    return values, _extended(body)


def _extended(body: dict[str, Any]) -> dict[str, str]:
    entries = body.get(odata.EXTENDED)
    if not entries:
        return {}
    found: dict[str, str] = {}
    for entry in entries:
        key, value = entry.get("id"), entry.get("value")
        if not isinstance(key, str) or not isinstance(value, str):
            raise GraphError(400, "ErrorInvalidArgument", "An extended property needs an id and a value.")
        found[odata.property_id(key)] = value
    return found


# --- pages -----------------------------------------------------------------------------------------------------------


def _chosen(call: Call, kind: str, shown: dict[str, Any], extended: dict[str, str]) -> dict[str, Any]:
    """What of an object the query asks for."""
    names = odata.select(call.query, kind)
    if names is not None:
        etag = shown.get("@odata.etag")
        shown = {"id": shown["id"], **{name: shown[name] for name in names if name in shown}}
        if etag:
            shown["@odata.etag"] = etag
    if "$expand" in call.query:
        wanted = odata.expand_extended(call.query["$expand"])
        held = [{"id": key, "value": value} for key, value in extended.items() if key in wanted]
        if held:  # an object with none of them does not have the property at all
            shown[odata.EXTENDED] = held
    return shown


def _page(call: Call, found: list[Any], what: str, render: Any) -> Reply:
    """One page of a collection. Outlook pages by $skip: who deletes while paging misses items (graph/paging)."""
    size = odata.whole_number(call.query, "$top", 1, LARGEST_PAGE, call.prefer.max_page or PAGE)
    skip = odata.whole_number(call.query, "$skip", 0, 2**31, 0)
    content: dict[str, Any] = {"@odata.context": _context(call, what, "")}
    if call.query.get("$count", "").lower() == "true":
        content["@odata.count"] = len(found)
    content["value"] = [render(item) for item in found[skip : skip + size]]
    if skip + size < len(found):
        content["@odata.nextLink"] = call.link(next_options(call.query, {"$top": str(size), "$skip": str(skip + size)}))
    return Reply(200, content)


def next_options(query: dict[str, str], changed: dict[str, str]) -> str:
    """The query of a next link: the same options, encoded, some of them changed."""
    from urllib.parse import quote

    return "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in {**query, **changed}.items())


def _context(call: Call, what: str, tail: str) -> str:
    return call.context(f"users('{call.box.owner}')/{what}{tail}")
