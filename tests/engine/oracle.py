"""What a mailbox should hold, computed from the tenant's users alone: no code of the product decides it."""

from __future__ import annotations

from typing import Any

from local.m365.mailbox import Folder
from local.m365.tenant import Tenant
from sync_core import marks

FIELDS = ("displayName", "givenName", "surname", "department", "mobilePhone")


def expected(tenant: Tenant) -> dict[str, dict[str, Any]]:
    """The contacts of all people by key, in the fields that these tests set."""
    return {
        f"u:{user['id']}": {
            **{name: user.get(name) or None for name in FIELDS},
            "businessPhones": list(user.get("businessPhones") or []),
            "mails": [user["mail"], *_aliases(user)],
        }
        for user in tenant.directory.users.objects.values()
        if user["accountEnabled"]
    }


def _aliases(user: dict[str, Any]) -> list[str]:
    return [address[5:] for address in user.get("proxyAddresses") or [] if address[5:] != user["mail"]]


def targets(tenant: Tenant, definition: dict[str, Any]) -> set[str]:
    """Whose mailboxes should hold the people."""
    wanted = definition.get("targets", {})
    include, exclude = wanted.get("include", "all"), wanted.get("exclude", ())
    return {
        user["id"]
        for user in tenant.directory.users.objects.values()
        if user["accountEnabled"]
        and user["assignedPlans"]
        and user["id"] not in exclude
        and (include == "all" or user["id"] in include)
    }


def reachable(tenant: Tenant) -> set[str]:
    """The mailboxes that answer, of users that exist."""
    return {user for user in tenant.directory.users.objects if user in tenant.mailboxes and tenant.mailboxes[user].state == "ok"}


def our_folders(tenant: Tenant, user: str, installation: str, sync: str) -> list[Folder]:
    """The live folders with the mark of a sync."""
    box = tenant.mailbox(user)
    return [
        folder
        for folder in box.folders()
        if box.contacts in box.ancestors(folder)
        and marks.is_folder_of(folder.extended.get(marks.KEY_PROPERTY), installation, sync)
    ]


def wrongs(tenant: Tenant, user: str, *, installation: str, sync: str, target: bool) -> list[str]:
    """How a mailbox differs from what it should be. Moved and copied items have lost our mark: nothing of ours lies elsewhere."""
    found: list[str] = []
    folders = our_folders(tenant, user, installation, sync)
    if len(folders) != target:
        found.append(f"{len(folders)} folders of ours instead of {int(target)}")
    wanted = expected(tenant) if target else {}
    held: dict[str, dict[str, Any]] = {}
    for contact in tenant.live_contacts(user):
        key = marks.key_in(contact.extended.get(marks.KEY_PROPERTY), installation, sync)
        if key is None:
            continue
        if contact.folder not in folders:
            found.append(f"{key} lies in {contact.folder.name}")
        elif key in held:
            found.append(f"{key} is there twice")
        else:
            values = contact.values
            held[key] = {
                **{name: values.get(name) or None for name in FIELDS},
                "businessPhones": list(values.get("businessPhones") or []),
                "mails": [entry["address"] for entry in values.get("emailAddresses") or []],
            }
    found += [f"{key} is missing" for key in wanted.keys() - held.keys()]
    found += [f"{key} is an orphan" for key in held.keys() - wanted.keys()]
    found += [f"{key}: {held[key]} instead of {wanted[key]}" for key in wanted.keys() & held.keys() if wanted[key] != held[key]]
    return [f"{installation}/{sync} in {user}: {problem}" for problem in found]
