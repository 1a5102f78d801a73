"""What a mailbox should hold, computed from the tenant's directory and a definition alone: no code of the product decides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from local.m365.mailbox import Contact, Folder
from local.m365.tenant import Tenant
from sync_core import marks

FIELDS = ("displayName", "givenName", "surname", "department", "mobilePhone")

Card = dict[str, Any]


@dataclass(slots=True)
class Leeway:
    """What users edited or took away, which a definition may let them do: (user, installation, sync, source key)."""

    edited: set[tuple[str, str, str, str]] = field(default_factory=set)
    taken: set[tuple[str, str, str, str]] = field(default_factory=set)


def expected(tenant: Tenant, definition: dict[str, Any]) -> dict[str, Card]:
    """The contacts of all people of a definition's sources by key, in the fields that these tests set."""
    sources = [_people(tenant, source) for source in definition.get("sources") or [{"kind": "directory"}]]
    cards = [(key, card) for source in sources for key, card in source.items()]
    shared = {
        mail for source in sources for mail, count in Counter(card["mails"][0] for card in source.values()).items() if count > 1
    }
    merged: dict[str, tuple[list[str], Card]] = {}
    for key, card in cards:
        mail = card["mails"][0]
        keys, into = merged.setdefault(key if mail in shared else mail, ([], {"disabled": False}))
        keys.append(key)
        into["disabled"] |= card["disabled"]
        into.update({name: value for name, value in card.items() if not into.get(name)})
    unwanted = definition.get("selection", {}).get("rule", {}).get("not", {}).get("values", ())
    found = {"+".join(sorted(keys)): card for keys, card in merged.values()}
    found = {key: card for key, card in found.items() if not card["disabled"] and card["department"] not in unwanted}
    return {key: {name: value for name, value in card.items() if name != "disabled"} for key, card in found.items()}


def _people(tenant: Tenant, source: dict[str, Any]) -> dict[str, Card]:
    directory = tenant.directory
    if source["kind"] == "orgContacts":
        return {f"o:{contact['id']}": _partner(contact) for contact in directory.org_contacts.objects.values()}
    users = directory.users.objects
    chosen = directory.transitive_members(source["id"]) if source["kind"] == "group" else users
    return {f"u:{user}": _colleague(users[user]) for user in chosen if user in users}


def _colleague(user: dict[str, Any]) -> Card:
    aliases = [address[5:] for address in user.get("proxyAddresses") or [] if address[5:] != user["mail"]]
    return {
        **{name: user.get(name) or None for name in FIELDS},
        "businessPhones": list(user.get("businessPhones") or []),
        "mails": [user["mail"], *aliases],
        "disabled": not user["accountEnabled"],
    }


def _partner(contact: dict[str, Any]) -> Card:
    numbers = [phone["number"] for phone in contact.get("phones") or ()]
    return {
        **{name: contact.get(name) or None for name in FIELDS},
        "mobilePhone": numbers[0] if numbers else None,
        "businessPhones": [],
        "mails": [contact["mail"]],
        "disabled": False,
    }


def targets(tenant: Tenant, definition: dict[str, Any]) -> set[str]:
    """Whose mailboxes should hold the people."""
    wanted = definition.get("targets", {})
    include, exclude = wanted.get("include", "all"), wanted.get("exclude", ())
    if isinstance(include, dict):
        include = {user for group in include["groups"] for user in tenant.directory.transitive_members(group)}
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


def wrongs(
    tenant: Tenant,
    user: str,
    *,
    installation: str,
    sync: str,
    definition: dict[str, Any] | None,
    sharing: Collection[str],
    leeway: Leeway,
) -> list[str]:
    """How a mailbox differs from what it should be; `definition` is None for one that should hold nothing.

    Moved and copied items have lost our mark: nothing of ours lies elsewhere. Others that are `sharing` are in our folder.
    """
    found: list[str] = []
    folders = our_folders(tenant, user, installation, sync)
    in_default = definition is not None and definition["folder"] is None
    if definition is None or in_default:
        found += [f"{folder.name} is still ours" for folder in folders]
    else:
        folders += [folder for other in sharing for folder in our_folders(tenant, user, installation, other)]
        if len(folders) != 1:
            found.append(f"{len(folders)} folders of ours")
    wanted = expected(tenant, definition) if definition is not None else {}
    held: dict[str, Card] = {}
    for contact in tenant.live_contacts(user):
        key = marks.key_in(contact.extended.get(marks.KEY_PROPERTY), installation, sync)
        if key is None:
            continue
        if contact.folder not in ([tenant.mailbox(user).contacts] if in_default else folders):
            found.append(f"{key} lies in {contact.folder.name}")
        elif key in held:
            found.append(f"{key} is there twice")
        else:
            held[key] = _held(contact)

    def may(acts: set[tuple[str, str, str, str]], key: str) -> bool:
        return any((user, installation, sync, part) in acts for part in key.split("+"))

    if definition is not None and definition.get("on_user_delete") == "respect":
        wanted = {key: card for key, card in wanted.items() if key in held or not may(leeway.taken, key)}
    if definition is not None and definition.get("on_user_edit") == "keep":
        for key in wanted.keys() & held.keys():
            if may(leeway.edited, key) and str(held[key]["mobilePhone"]).startswith("+49301"):
                held[key]["mobilePhone"] = wanted[key]["mobilePhone"]
    found += [f"{key} is missing" for key in wanted.keys() - held.keys()]
    found += [f"{key} is an orphan" for key in held.keys() - wanted.keys()]
    found += [f"{key}: {held[key]} instead of {wanted[key]}" for key in wanted.keys() & held.keys() if wanted[key] != held[key]]
    return [f"{installation}/{sync} in {user}: {problem}" for problem in found]


def _held(contact: Contact) -> Card:
    values = contact.values
    return {
        **{name: values.get(name) or None for name in FIELDS},
        "businessPhones": list(values.get("businessPhones") or []),
        "mails": [entry["address"] for entry in values.get("emailAddresses") or []],
    }
