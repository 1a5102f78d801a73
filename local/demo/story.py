"""What happens between the two syncs: to the directory, and on one phone. What a tenant has nobody for is left out, and said."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from local.demo.clients import Json, MailboxView, StageHand

# 07700 900xxx is kept for drama by Ofcom
NEW_MOBILE = "+44 7700 900461"
_MARRIED_NAME = "Lindqvist"
_NAMESAKE = {"displayName": "Maria Silva", "givenName": "Maria", "surname": "Silva", "department": "Sales"}


@dataclass(slots=True)
class Story:
    """What was done, for people to read, and what a check needs to know of it."""

    told: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    people: set[str] = field(default_factory=set)  # display names that played a part: worth showing
    removed_number: str = ""
    removed_from: str = ""  # whose number it was
    leaver: str = ""


def change_directory(hand: StageHand, users: Iterable[Json]) -> Story:
    """A new hire, a changed and a removed number, a leaver, a wedding, two namesakes."""
    story = Story()
    cast = _Cast(users)
    domain = _domain(cast.everybody)
    operations: list[Json] = []

    def hire(values: Json, address: str) -> None:
        free = cast.free_address(address, domain)
        person = {"userPrincipalName": free, "mail": free, "proxyAddresses": [f"SMTP:{free}"], **values}
        operations.append({"op": "add", "mailbox": "none", "values": person})
        story.people.add(values["displayName"])

    values: Json = {"displayName": "Zoë Ångström", "givenName": "Zoë", "surname": "Ångström", "department": "Engineering"}
    hire({**values, "jobTitle": "Test Engineer", "usageLocation": "GB", "mobilePhone": "+44 7700 900460"}, "zoe.angstrom")
    story.told.append("Zoë Ångström starts work")

    if person := cast.pick(lambda user: bool(user.get("mobilePhone"))):
        operations.append({"op": "change", "user": person["id"], "values": {"mobilePhone": NEW_MOBILE}})
        story.told.append(f"{person['displayName']} has another mobile number")
        story.people.add(person["displayName"])
    else:
        story.skipped.append("a changed number: nobody has a mobile number")

    if person := cast.pick(lambda user: bool(user.get("mobilePhone") and user.get("mail"))):
        operations.append({"op": "change", "user": person["id"], "values": {"mobilePhone": None}})
        story.removed_number, story.removed_from = person["mobilePhone"], person["mail"]
        story.told.append(f"{person['displayName']}'s mobile number is removed")
        story.people.add(person["displayName"])
    else:
        story.skipped.append("a removed number: nobody else has a mobile number and an address")

    if person := cast.pick(lambda user: not user.get("assignedPlans")):
        operations.append({"op": "remove", "user": person["id"]})
        story.leaver = person["displayName"]
        story.told.append(f"{person['displayName']} leaves")
    else:
        story.skipped.append("a leaver: everybody else has a mailbox")

    if person := cast.pick(_can_marry, script="LATIN"):
        operations.append({"op": "change", "user": person["id"], "values": _married(person, cast, story)})
    else:
        story.skipped.append("a wedding: nobody else has an address and a surname within the display name")

    for title, mobile in (("Account Manager", "+44 7700 900462"), ("Regional Director", "+44 7700 900463")):
        hire({**_NAMESAKE, "jobTitle": title, "usageLocation": "GB", "mobilePhone": mobile}, "maria.silva")
    story.told.append("two people called Maria Silva start work in one department")

    hand.directory(*operations)
    return story


def use_phone(hand: StageHand, user: str, view: MailboxView, story: Story) -> None:
    """In one mailbox, delete, edit and move a contact of ours, and add one of the user's own beside them."""
    cast = _Cast(contact for contact in view.ours if contact["displayName"] not in story.people | {story.leaver})
    doings: tuple[tuple[str, Callable[[Json], Json]], ...] = (
        ("deleted", lambda contact: {"op": "delete", "contact": contact["id"]}),
        ("edited", lambda contact: {"op": "edit", "contact": contact["id"], "values": {"jobTitle": "Head of everything"}}),
        ("moved", lambda contact: {"op": "move", "contact": contact["id"], "folder": "contacts"}),
    )
    for done, act in doings:
        contact = cast.pick(lambda _: True)
        if contact is None:
            story.skipped.append(f"a contact {done} on the phone: there are too few in the folder")
            continue
        hand.phone(user, act(contact))
        story.people.add(contact["displayName"])
        where = " to the owner's own contacts" if done == "moved" else ""
        story.told.append(f"on the phone, {contact['displayName']} is {done}{where}")
    own = {"givenName": "Plumber", "mobilePhone": "07700 900999", "personalNotes": "Rings twice"}
    hand.phone(user, {"op": "create", "folder": view.folder_id, "values": own})
    story.told.append("on the phone, a plumber is added to the folder")


class _Cast:
    """Picks somebody different for each part, of a script that has not been on yet if it can."""

    def __init__(self, users: Iterable[Json]) -> None:
        self.everybody = [user for user in users if user.get("displayName")]
        names = Counter(user["displayName"] for user in self.everybody)
        self._free = [user for user in self.everybody if names[user["displayName"]] == 1 and _listed(user)]
        self._scripts: set[str] = set()
        self._addresses = {
            str(address).lower() for user in self.everybody for address in (user.get("mail"), user.get("userPrincipalName"))
        }

    def pick(self, fits: Callable[[Json], bool], *, script: str = "") -> Json | None:
        able = [user for user in self._free if fits(user)]
        wanted = [user for user in able if script_of(user["displayName"]) == script]
        fresh = [user for user in able if script_of(user["displayName"]) not in self._scripts]
        found = next(iter(wanted or fresh or able), None)
        if found is not None:
            self._free.remove(found)
            self._scripts.add(script_of(found["displayName"]))
        return found

    def free_address(self, local: str, domain: str) -> str:
        candidates = (f"{local}{number or ''}@{domain}" for number in range(len(self._addresses) + 1))
        found = next(address for address in candidates if address.lower() not in self._addresses)
        self._addresses.add(found.lower())
        return found


def script_of(name: str) -> str:
    """The script a name begins in, by its Unicode name: "LATIN", "CJK", "ARABIC"."""
    return next((unicodedata.name(character, "").partition(" ")[0] for character in name if character.isalpha()), "")


def _listed(user: Json) -> bool:
    """Contacts have none of these properties, users all."""
    return user.get("accountEnabled", True) is True and user.get("userType") != "Guest"


def _can_marry(user: Json) -> bool:
    return bool(user.get("surname") and user["surname"] in user["displayName"] and user.get("mail"))


def _married(person: Json, cast: _Cast, story: Story) -> Json:
    """A new surname, a new address, and the old one as an alias."""
    name = person["displayName"].replace(person["surname"], _MARRIED_NAME)
    local, _, domain = person["mail"].partition("@")
    address = cast.free_address(f"{local.partition('.')[0]}.{_MARRIED_NAME.lower()}", domain)
    aliases = [f"smtp:{proxy[5:]}" for proxy in person.get("proxyAddresses") or () if proxy[:5].lower() == "smtp:"]
    story.told.append(f"{person['displayName']} marries and is now {name}")
    story.people |= {name, person["displayName"]}
    return {
        "surname": _MARRIED_NAME,
        "displayName": name,
        "mail": address,
        "proxyAddresses": [f"SMTP:{address}", *(aliases or [f"smtp:{person['mail']}"])],
    }


def _domain(users: list[Json]) -> str:
    domains = Counter(str(user["mail"]).rpartition("@")[2] for user in users if user.get("mail"))
    return domains.most_common(1)[0][0] if domains else "example.com"
