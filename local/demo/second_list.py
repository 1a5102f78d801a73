"""A second list: a group under a rule, merged with a shared mailbox's contacts; then a mishap, what it would do, and an undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from local.demo.check import Finding, Views, card_of, tail
from local.demo.clients import Json, Reader, StageHand
from local.demo.performance import Performance

SYNC = "projects"
_MOST_MAILBOXES = 5
_FEWEST_PEOPLE, _MOST_PEOPLE = 12, 60  # of the group: enough for a story, and soon done
_STAY = 2  # people whom the mishap leaves in the group

# 07700 900xxx is kept for drama by Ofcom
_SUPPLIERS = tuple(
    {
        "displayName": name,
        "companyName": company,
        "mobilePhone": number,
        "emailAddresses": [{"address": address, "name": name}],
    }
    for name, company, number, address in (
        ("Lars Høst", "Høst Emballage", "+44 7700 900501", "lars@hoest.example"),
        ("Ines Prata", "Prata & Filhos", "+44 7700 900502", "ines@prata.example"),
        ("Taxi Nord", "Taxi Nord", "+44 7700 900503", "ruf@taxi-nord.example"),
    )
)
_KNOWN_AS, _KNOWN_NUMBER = "Approves our orders", "+44 7700 900504"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: the people of the group with a mobile number, and one without whom the shared mailbox has a number of."""

    group: Json
    members: tuple[Json, ...]
    merged: Json
    mailboxes: tuple[str, ...]

    @property
    def everybody(self) -> Counter[str]:
        """The names that each mailbox should show."""
        return Counter(card_of(person).name for person in (*self.members, self.merged, *_SUPPLIERS))

    @property
    def after_mishap(self) -> Counter[str]:
        """The names when the mishap is let through: of the merged person what the shared mailbox knows is left."""
        return Counter([*(card_of(person).name for person in (*self.members[:_STAY], *_SUPPLIERS)), _KNOWN_AS])


def play(on: Performance, mailboxes: Iterable[str]) -> None:
    """The whole scene, in some of these mailboxes."""
    show, admin = on.show, on.admin
    show.step("A second list: a group under a rule, and the contacts of a shared mailbox")
    players = cast(on.reader, on.reader.users(), mailboxes)
    if players is None:
        show.say("left out, no group of a good size has somebody in it without a mobile number")
        return
    admin.define(SYNC, share_contacts(on.hand, players))
    group = players.group["displayName"]
    show.say(f"Preview, before anything is written ({group}, those with a mobile number, and Purchasing):")
    for line in in_words(admin.preview(SYNC)):
        show.say(line)
    on.run("Run", lambda: admin.start("due", SYNC))
    before = look(on.reader, players)
    on.judge(
        check_names("each mailbox shows the group and the suppliers, each once", before, players.everybody),
        check_merged(players, before),
    )

    show.step("A mishap")
    show.say(empty_group(on.hand, players))
    held = on.run("Run", lambda: admin.start("due", SYNC), good=("held",))
    show.say(f"Held ({held['reason']}): it would take {held['would']['people_removed']} people out of every mailbox.")
    on.judge(check_names("a held run changes nothing", look(on.reader, players), players.everybody))
    released = on.run("Released", lambda: admin.judge(held["run"], "release"))
    after = look(on.reader, players)
    on.judge(check_names("once released it does what it said", after, players.after_mishap))
    on.run("Undone", lambda: admin.judge(released["run"], "undo"))
    on.judge(check_same(before, look(on.reader, players)))


def cast(reader: Reader, users: Iterable[Json], mailboxes: Iterable[str]) -> Cast | None:
    """Choose a group of a good size in which somebody has no mobile number; None when the tenant has none."""
    people = {user["id"]: user for user in users if user["accountEnabled"] is True and user["userType"] != "Guest"}
    served = tuple(mailboxes)[:_MOST_MAILBOXES]
    for group, ids in reader.groups():
        inside = [people[member] for member in ids if member in people]
        reachable = tuple(person for person in inside if person["mobilePhone"])
        merged = next((person for person in inside if not person["mobilePhone"] and person["mail"]), None)
        if served and merged is not None and _FEWEST_PEOPLE <= len(reachable) <= _MOST_PEOPLE:
            return Cast(group, reachable, merged, served)
    return None


def share_contacts(hand: StageHand, cast: Cast) -> Json:
    """Set up the shared mailbox and its contacts. Returns the definition of the list."""
    address = str(cast.merged["mail"])
    mailbox = {"displayName": "Purchasing", "accountEnabled": False, "userType": "Member", "assignedPlans": []}
    mailbox |= {name: f"purchasing@{address.partition('@')[2]}" for name in ("userPrincipalName", "mail")}
    (shared,) = hand.directory({"op": "add", "values": mailbox})
    (folder,) = hand.phone(shared, {"op": "createFolder", "name": "Suppliers"})
    known = {"displayName": _KNOWN_AS, "mobilePhone": _KNOWN_NUMBER, "emailAddresses": [{"address": address, "name": ""}]}
    hand.phone(shared, *({"op": "create", "folder": folder, "values": card} for card in (*_SUPPLIERS, known)))
    return {
        "name": "Projects",
        "folder": "Projects and suppliers",
        "sources": [
            {"kind": "group", "id": cast.group["id"]},
            {"kind": "mailbox", "mailbox": shared, "folder": "Suppliers"},
        ],
        "selection": {"rule": {"attribute": "hasMobile", "operator": "is", "value": True}},
        "targets": {"include": list(cast.mailboxes)},
        "schedule": {"kind": "manual"},
    }


def empty_group(hand: StageHand, cast: Cast) -> str:
    """Somebody takes nearly everybody out of the group. Returns it in words."""
    gone = [person["id"] for person in (*cast.members[_STAY:], cast.merged)]
    hand.directory({"op": "leave", "group": cast.group["id"], "members": gone})
    return f"by mistake, {len(gone)} people are taken out of the group {cast.group['displayName']}"


def in_words(preview: Json) -> Iterator[str]:
    """What a preview says, a line each."""
    yield f"{preview['people']} people into {preview['targets']} mailboxes; each rule by itself lets in:"
    for line in preview["selection"]:
        yield f"  {line['lets_in']:4}  {line['words']}"
    for hold in preview["holds"]:
        yield f"a run would be held: {hold['reason']} {hold['detail']}".rstrip()
    for mailbox in preview["mailboxes"][:1]:
        counts = ", ".join(f"{mailbox['counts'][name]} {name}" for name in ("created", "updated", "deleted"))
        yield f"in one of the mailboxes: {counts}"


def look(reader: Reader, cast: Cast) -> Views:
    """The mailboxes of the list as they are now."""
    return {mailbox: reader.mailbox(mailbox, SYNC) for mailbox in cast.mailboxes}


def check_names(what: str, views: Views, wanted: Counter[str]) -> Finding:
    """Each mailbox shows exactly these people in its second list, each once."""
    for mailbox, view in views.items():
        held = Counter(card_of(contact).name for contact in view.ours) if view else Counter()
        if held != wanted:
            return Finding(what, f"mailbox {mailbox} lacks {list(wanted - held)} and has {list(held - wanted)} too many")
    return Finding(what)


def check_merged(cast: Cast, views: Views) -> Finding:
    """The person of both sources is one contact: the name of the directory, the number of the shared mailbox."""
    what = "who is in the group and in the shared mailbox is one contact, with the number that only the latter knows"
    wanted = [(card_of(cast.merged).name, tail(_KNOWN_NUMBER))]
    for mailbox, view in views.items():
        cards = [card_of(contact) for contact in view.ours] if view else []
        found = [(card.name, card.mobile) for card in cards if card.address == card_of(cast.merged).address]
        if found != wanted:
            return Finding(what, f"mailbox {mailbox} has {found}")
    return Finding(what)


def check_same(before: Views, after: Views) -> Finding:
    """The undo brought back what was there, as it was."""
    what = "after the undo each mailbox shows what it showed before the mishap"
    for mailbox, view in before.items():
        now = after[mailbox]
        was, held = (Counter(map(card_of, seen.ours)) if seen else Counter() for seen in (view, now))
        if was != held:
            return Finding(what, f"mailbox {mailbox} lacks {list(was - held)} and has {list(held - was)} too many")
    return Finding(what)
