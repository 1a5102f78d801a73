"""Somebody asks to be forgotten: a compliance officer confirms it, and afterwards the person is looked for everywhere."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable

from local.demo.check import Finding, card_of
from local.demo.clients import Json, Reader
from local.demo.performance import Performance
from local.demo.problems import DemoError

_LOOK_EVERY = 0.3  # seconds
_PATIENCE = 120.0  # seconds

Held = dict[str, tuple[list[Json], list[Json]]]
"""What each mailbox holds: contacts of ours, of every list, and the user's own."""


def play(on: Performance, mailboxes: Iterable[str]) -> None:
    """The whole scene, for these mailboxes."""
    show = on.show
    show.step("Somebody asks to be forgotten")
    before = look(on.reader, mailboxes)
    person = choose(on.reader.users(), before)
    if person is None:
        show.say("left out, everybody in the lists has a mailbox")
        return
    address = card_of(person).address
    request = on.officer.make_request("erasure", address)
    matches = on.officer.matches(request)
    show.say(
        f"{person['displayName']} is {copies(before, address)} contacts in {len(before)} mailboxes. What the officer is shown:"
    )
    for match in matches:
        show.say(f"  {match['name']}: {', '.join(match['places'])}")
    on.officer.confirm(request, [match["key"] for match in matches])
    done = _wait(on, request)
    counts = ", ".join(f"{count} {_in_words(what)}" for what, count in done["counts"].items() if count)
    show.say(f"Confirmed, and done. The receipt is entry {done['receipt']} of the audit trail: {counts}.")
    after = look(on.reader, mailboxes)
    on.judge(
        check_gone(before, after, address), check_others(before, after, address), check_trail(done, on.officer.verify_trail())
    )


def look(reader: Reader, mailboxes: Iterable[str]) -> Held:
    """What the mailboxes hold now."""
    return {mailbox: reader.contacts(mailbox) for mailbox in mailboxes}


def choose(users: Iterable[Json], held: Held) -> Json | None:
    """Who is in most places, of those who have no mailbox: whose own phone would have to be cleaned, too."""
    counts = Counter(card_of(contact).address for ours, _ in held.values() for contact in ours)
    able = [user for user in users if not user["assignedPlans"] and card_of(user).address and counts[card_of(user).address]]
    return max(able, key=lambda user: counts[card_of(user).address], default=None)


def copies(held: Held, address: str) -> int:
    """How many contacts of ours are this person."""
    return sum(card_of(contact).address == address for ours, _ in held.values() for contact in ours)


def check_gone(before: Held, after: Held, address: str) -> Finding:
    """The person was there, and is on no phone any more."""
    left = copies(after, address)
    wrong = f"{left} contacts are left" if left else "" if copies(before, address) else "nobody was there to begin with"
    return Finding("looked for again over Graph, the person is in no list of any mailbox", wrong)


def check_others(before: Held, after: Held, address: str) -> Finding:
    """Nobody else went, and what people keep themselves is as it was."""
    what = "everybody else is there as before, and what people keep themselves is untouched"
    for mailbox, (ours, own) in before.items():
        now, own_now = after[mailbox]
        others = {contact["id"] for contact in ours if card_of(contact).address != address}
        if {contact["id"] for contact in now} != others or own_now != own:
            return Finding(what, f"mailbox {mailbox} shows others than before")
    return Finding(what)


def check_trail(request: Json, verdict: Json) -> Finding:
    """The audit trail is whole, and the receipt lies in it."""
    what = f"the audit trail is whole: {verdict['entries']} entries, each proving the one before it"
    if not verdict["sound"]:
        return Finding(what, f"{verdict['faults'][:1]}")
    inside = request["receipt"] is not None and verdict["first"] <= request["receipt"] <= verdict["last"]
    return Finding(what, "" if inside else "the receipt is not in it")


def _in_words(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name)


def _wait(on: Performance, request: str) -> Json:
    deadline = time.monotonic() + _PATIENCE
    while (found := on.officer.request(request))["state"] == "running":
        if time.monotonic() > deadline:
            raise DemoError(f"the erasure still runs after {_PATIENCE:.0f} s", "Read the logs in .local/demo")
        time.sleep(_LOOK_EVERY)
    if found["state"] != "done":
        raise DemoError(f"the erasure is {found['state']}: {found['reason']}", "docs/privacy.md says what this means")
    return found
