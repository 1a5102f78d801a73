"""What changed in one mailbox between two looks at it, one line per contact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from local.demo.clients import Json, MailboxView
from local.demo.story import script_of

_FIELDS = {"displayName": "name", "jobTitle": "title", "mobilePhone": "mobile", "department": "department"}


@dataclass(frozen=True, slots=True)
class Line:
    """A contact and what became of it; `contact` is how it is now, or was last when it is gone."""

    contact: Json
    note: str = ""


def compare(first: MailboxView, before: MailboxView, after: MailboxView) -> list[Line]:
    """Every contact of the folder. `first` is how it was before its owner did anything: what is back was there."""
    known = {contact["id"]: contact for contact in before.ours}
    addresses = {_address(contact) for contact in first.ours} - {""}
    lines = []
    for contact in after.ours:
        old = known.pop(contact["id"], None)
        if old is not None:
            lines.append(Line(contact, "; ".join(_changes(old, contact))))
        else:
            lines.append(Line(contact, "back again" if _address(contact) in addresses else "new"))
    lines += [Line(contact, "gone") for contact in known.values()]
    return lines + [Line(contact, "their own") for contact in after.foreign.values()]


def choose(lines: Iterable[Line], most: int) -> list[Line]:
    """Those that changed and the owner's own; then others, as many scripts as there are, up to `most` in all."""
    chosen = [line for line in lines if line.note]
    rest = [line for line in lines if not line.note]
    scripts = {script_of(_name(line)) for line in chosen}
    for line in [*rest]:
        script = script_of(_name(line))
        if len(chosen) < most and script not in scripts:
            scripts.add(script)
            chosen.append(line)
            rest.remove(line)
    chosen += rest[: max(0, most - len(chosen))]
    return sorted(chosen, key=lambda line: _name(line).casefold())


def _changes(old: Json, new: Json) -> list[str]:
    found = []
    for name, word in _FIELDS.items():
        was, now = old.get(name) or "", new.get(name) or ""
        if was != now:
            found.append(f"{word} was {was}" if was and now else f"{word} {was or now} {'removed' if was else 'added'}")
    if not found and _address(old) != _address(new):
        found.append(f"address was {_address(old)}")
    return found


def _name(line: Line) -> str:
    return str(line.contact.get("displayName") or "")


def _address(contact: Json) -> str:
    addresses = contact.get("emailAddresses") or [{}]
    return str(addresses[0].get("address") or "")
