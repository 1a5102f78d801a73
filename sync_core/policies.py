"""Policies: where the user has a say, what of a plan is carried out, and how much of it.

They need to know what the mailbox holds now, not what it held at the last audit: whoever has one looks first whenever there is
something to write.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec.structs import replace

from sync_core.contacts import blank, user_key
from sync_core.definition import SyncDefinition
from sync_core.encoding import kept as encoded
from sync_core.fingerprints import Fingerprinter
from sync_core.model import Create, Held, Item, Operation, Update

NOTES = "personalNotes"

NAMES = frozenset(("displayName", "givenName", "surname"))
_MARKS = "singleValueExtendedProperties"


@dataclass(frozen=True, slots=True)
class Policies:
    """What a sync's definition leaves to its users."""

    keep_edits: bool
    respect_deletions: bool
    filled: frozenset[str]
    notes: bool  # whether our block stands in the user's notes
    own_card: bool = True  # whether users find themselves in the list

    @classmethod
    def of(cls, definition: SyncDefinition) -> Policies:
        """The policies of a definition."""
        fields = definition.fields
        return cls.over(definition, owned=fields.owned, filled=fields.filled)

    @classmethod
    def over(cls, definition: SyncDefinition, *, owned: Collection[str], filled: Collection[str]) -> Policies:
        """The policies of a definition for items that write other fields than it says."""
        keep, respect = definition.on_user_edit == "keep", definition.on_user_delete == "respect"
        return cls(keep, respect, frozenset(filled), NOTES in owned, definition.own_card == "show")

    @property
    def look_first(self) -> bool:
        """Whether a mailbox has to be looked at before anything is written to it."""
        return self.keep_edits or self.respect_deletions or bool(self.filled)

    @property
    def name(self) -> str:
        """Names what mailboxes hold differently for the same snapshot; "" when the snapshot alone decides."""
        parts = ["keep"] * self.keep_edits + ["respect"] * self.respect_deletions + sorted(self.filled)
        return ",".join(parts + ["no own card"] * (not self.own_card))

    def shown_to(self, mailbox: str, items: Mapping[str, Item]) -> Mapping[str, Item]:
        """The items, less the mailbox owner's own where it is left out."""
        own = user_key(mailbox)
        if self.own_card or not any(own in key for key in items):
            return items
        return {key: item for key, item in items.items() if own not in key.split("+")}

    def applied(
        self,
        operations: Sequence[Operation],
        wanted: Mapping[str, Item],
        held: Mapping[str, Held],
        fingerprinter: Fingerprinter,
        refused: Container[str] | None = None,
    ) -> list[Operation]:
        """What is left of a plan made from `wanted` and `held`: no item whose key is `refused`, no field that is the user's."""
        eases = self.keep_edits or self.filled or self.notes
        if not eases and refused is None:
            return list(operations)
        result: list[Operation] = []
        for operation in operations:
            if eases and isinstance(operation, Update):
                entry = held[operation.was or operation.key]
                eased = self._eased(operation, wanted[operation.key], entry, fingerprinter)
                if eased is not None:
                    result.append(eased)
            elif refused is None or not (isinstance(operation, Create) and operation.key in refused):
                result.append(operation)
        return result

    def _eased(self, update: Update, item: Item, entry: Held, fingerprinter: Fingerprinter) -> Update | None:
        """The update with only those fields that differ and are ours to write; None when that leaves nothing to do."""
        differing = fingerprinter.differing(entry.fingerprint, item.fingerprint)
        if differing is None:
            owned = [name for name in fingerprinter.fields if name not in self.filled]
            return Update(update.key, update.item_id, _body(item, owned), update.was)
        edited = set(entry.kept) - self.filled if self.keep_edits else set()
        kept = edited.intersection(differing)
        if kept & NAMES:
            kept |= NAMES.intersection(differing)  # a name is one thing, and Exchange makes one part from the others
        filled = self.filled.intersection(differing)
        theirs = kept | {name for name in filled if not fingerprinter.is_blank(entry.fingerprint, name)}
        if item.hides:
            # what we filled in before the person hid it; the user's own would differ from it
            unlike = fingerprinter.differing(entry.fingerprint, item.hides)
            theirs -= filled.difference(filled if unlike is None else unlike)
        ours = [name for name in differing if name not in theirs]
        if not ours and not update.was and edited <= kept:
            return None
        then = Held(update.item_id, fingerprinter.combined(item.fingerprint, entry.fingerprint, theirs), tuple(sorted(kept)))
        return Update(update.key, update.item_id, _body(item, ours), update.was, then)


def emptied(
    operations: Sequence[Operation], names: Collection[str], wanted: Mapping[str, Item], held: Mapping[str, Held]
) -> list[Operation]:
    """The plan, with the fields `names`, which no item writes any more, emptied in what stays; not where the user edited them."""
    result: list[Operation] = []
    untouched = dict(held)
    for operation in operations:
        if not isinstance(operation, Create):
            was = operation.was if isinstance(operation, Update) else ""
            entry = untouched.pop(was or operation.key)
            if isinstance(operation, Update):
                result.append(replace(operation, body=encoded({**orjson.loads(operation.body), **_blanks(names, entry)})))
                continue
        result.append(operation)
    for key in sorted(untouched.keys() & wanted.keys()):
        entry = untouched[key]
        body = {**orjson.loads(_body(wanted[key], ())), **_blanks(names, entry)}
        result.append(Update(key, entry.item_id, encoded(body), then=entry))
    return result


def _blanks(names: Collection[str], entry: Held) -> dict[str, Any]:
    return {name: blank(name) for name in names if name not in entry.kept}


def _body(item: Item, names: Collection[str]) -> bytes:
    """What an update of these fields writes. The mark always says what we would have written in full: by it edits are found."""
    wanted = set(names) | {_MARKS}
    if wanted & NAMES:
        wanted.add("displayName")  # else Exchange makes it anew from the other parts
    return encoded({name: value for name, value in orjson.loads(item.body).items() if name in wanted})
