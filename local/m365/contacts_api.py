"""Contacts over Graph.

graph/api/resources/contact, graph/api/user-post-contacts, graph/api/contactfolder-post-contacts, graph/api/user-list-contacts,
graph/api/contact-update, graph/api/contact-delete, graph/api/contact-permanentdelete.
"""

from __future__ import annotations

from collections import ChainMap
from datetime import datetime
from typing import Any

from local.m365 import odata, schema
from local.m365.call import Call
from local.m365.mailbox import Contact, Folder, Mailbox, not_found
from local.m365.outlook import chosen, context, extended_values, folder_at, page
from local.m365.wire import GraphError, Reply

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
    return page(
        call, found, "contacts", lambda item: chosen(call, "contact", show(call.box, item, immutable=immutable), item.extended)
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
    shown["@odata.context"] = context(call, "contacts", "/$entity")
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
    shown = chosen(call, "contact", show(call.box, contact, immutable=call.prefer.immutable_ids), contact.extended)
    return Reply(status, {"@odata.context": context(call, "contacts", "/$entity"), **shown}, {"ETag": shown["@odata.etag"]})


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
    return values, extended_values(body)
