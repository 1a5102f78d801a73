"""Does every mailbox hold what it should? Judged from Graph alone: nothing here is shared with the code that is checked."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from local.demo.clients import Json, MailboxView
from local.demo.story import Story

_TAIL = 6  # digits that a number keeps however it is written
_UNREAD = re.compile(r"^(no|do-?not)[-_.]?reply@", re.IGNORECASE)
Views = Mapping[str, MailboxView | None]


@dataclass(frozen=True, slots=True)
class Card:
    """A person as far as the check compares."""

    name: str
    address: str
    title: str
    department: str
    mobile: str
    work: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked; `wrong` says what is not as it should be, "" when all is well."""

    what: str
    wrong: str = ""


def card_of(person: Json) -> Card:
    """A directory user, or a contact, as a card."""
    addresses = [entry.get("address") for entry in person.get("emailAddresses") or ()]
    aliases = sorted(proxy[5:] for proxy in person.get("proxyAddresses") or () if proxy[:5].lower() == "smtp:")
    address = next(filter(None, (person.get("mail"), *addresses, *aliases)), "")
    work = dict.fromkeys(filter(None, (tail(number) for number in person.get("businessPhones") or ())))
    return Card(
        name=_plain(person.get("displayName")),
        address=address.lower(),
        title=_plain(person.get("jobTitle")),
        department=_plain(person.get("department")),
        mobile=tail(person.get("mobilePhone") or ""),
        work=tuple(work)[:2],
    )


def tail(number: str) -> str:
    """The last digits of a number, whatever script they are in."""
    return "".join(str(unicodedata.digit(character)) for character in number if character.isdigit())[-_TAIL:]


def _plain(text: str | None) -> str:
    return unicodedata.normalize("NFC", " ".join((text or "").split()))[:100]


def expected_cards(users: Iterable[Json]) -> Counter[Card]:
    """Who belongs on every phone: enabled members of the house with an address or a number. Nobody is behind no-reply."""
    return Counter(
        card_of(user)
        for user in users
        if user.get("accountEnabled") is True
        and user.get("userType") != "Guest"
        and (user.get("mail") or user.get("mobilePhone") or user.get("businessPhones"))
        and not _UNREAD.match(user.get("mail") or user.get("userPrincipalName") or "")
    )


def targets(users: Iterable[Json]) -> set[str]:
    """Whose mailbox should be served: enabled members of the house with a plan for Exchange Online."""
    return {
        user["id"]
        for user in users
        if user.get("accountEnabled") is True
        and user.get("userType") != "Guest"
        and any(plan["service"] == "exchange" and plan["capabilityStatus"] == "Enabled" for plan in user["assignedPlans"])
    }


def check_people(users: list[Json], views: Views) -> Finding:
    """Each reachable mailbox holds exactly the people of the directory, each once."""
    expected = expected_cards(users)
    reached = {user: view for user, view in views.items() if view is not None}
    what = (
        f"the mailboxes that can be reached ({len(reached)}) hold exactly the directory's people ({expected.total()}), each once"
    )
    for user, view in reached.items():
        held = Counter(map(card_of, view.ours))
        if held != expected or view.astray:
            missing, extra = list((expected - held).elements()), list((held - expected).elements())
            examples = "; ".join(f"{word} {cards[0]}" for word, cards in (("missing", missing), ("extra", extra)) if cards)
            astray = f", {len(view.astray)} with our mark in another folder" if view.astray else ""
            return Finding(what, f"mailbox {user} misses {len(missing)} and has {len(extra)} too many{astray}: {examples}")
    return Finding(what)


def check_unreachable(views: Views, results: list[Json]) -> Finding:
    """The mailboxes set aside are those that nobody can reach."""
    silent = {user for user, view in views.items() if view is None}
    aside = {result["mailbox"] for result in results if result["outcome"] == "set_aside"}
    what = f"the mailboxes that cannot be reached ({len(silent)}) were set aside, and only those"
    return Finding(what, "" if silent == aside else f"set aside: {sorted(aside)}; cannot be reached: {sorted(silent)}")


def check_foreign(before: Views, after: Views) -> Finding:
    """Nobody's own contacts were touched. What the owner moved out of our folder before is the owner's own now."""
    what = f"people's own contacts ({sum(len(view.foreign) for view in after.values() if view)}) are as they were"
    for mailbox, view in before.items():
        now = after[mailbox]
        if view is None or now is None:
            continue
        if {key: now.foreign.get(key) for key in view.foreign} != view.foreign:
            return Finding(what, f"own contacts of mailbox {mailbox} have changed")
        moved = {contact["id"]: card_of(contact) for contact in view.astray}
        if {key: card_of(now.foreign[key]) for key in now.foreign.keys() - view.foreign.keys()} != moved:
            return Finding(what, f"mailbox {mailbox} has other contacts of its own than its owner made")
    return Finding(what)


def check_removed_number(views: Views, story: Story) -> Finding:
    """The number that was removed from the directory is on no phone any more."""
    for mailbox, view in views.items():
        for contact in view.ours if view else ():
            if card_of(contact).address == story.removed_from and contact.get("mobilePhone"):
                return Finding("the removed number is gone", f"mailbox {mailbox} still shows {contact['mobilePhone']}")
    return Finding("the removed number is gone from every phone")


def check_report(run: Json, counters: Json) -> Finding:
    """The run says of itself what the stand-in saw."""
    served = counters["templates"]
    seen = {
        "created": served.get("POST /users/{id}/contactfolders/{id}/contacts", 0),
        "Graph requests": counters["requests"],
        "HTTP calls": counters["httpCalls"],
    }
    said = {
        "created": run["counts"]["created"],
        "Graph requests": run["graph"]["requests"],
        "HTTP calls": run["graph"]["http_calls"],
    }
    return Finding(
        "the run's report agrees with what Microsoft 365 served", "" if said == seen else f"it says {said}, served were {seen}"
    )


def check_manners(counters: Json) -> Finding:
    """At most four requests at a time on any mailbox, and nothing but directory and contacts was asked for."""
    widest = max((width["highest"] for width in counters["widths"].values()), default=0)
    wrong = counters["violations"][:3] or (f"{widest} at once" if widest > 4 else "")
    return Finding("never more than four requests at a time on a mailbox, and only directory and contacts", str(wrong or ""))
