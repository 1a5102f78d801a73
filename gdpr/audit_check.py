"""Verifies an audit trail: names each entry that was changed, moved or taken away, and tells when the end was cut off."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from gdpr.audit_chain import (
    ANCHOR,
    CHAINED,
    END_OF_ROWS,
    FIRST_ROW,
    HEAD,
    ORIGIN,
    TENANT_ERASED,
    WITNESS,
    Link,
    commitment_to,
    hash_of,
    is_genuine,
    link_of,
    opened,
    sealers_of,
    tag_of,
)
from gdpr.audit_trail import stored_entries
from sync_core.engine.context import Context
from sync_core.ports import Compare, Entity, Sealer
from sync_core.state.names import AUDIT, TENANTS

MOST_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the entry at a place: "changed", "missing", "moved", or, of the chain's ends, "forged"."""

    sequence: int
    kind: str
    detail: str = ""


@dataclass(slots=True)
class Verdict:
    """The outcome. `first` and `last` are the sequence numbers looked at; `shredded` counts entries without their actor."""

    first: int
    last: int
    entries: int = 0
    shredded: int = 0
    newest: Link | None = None
    faults: list[Fault] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def note(self, sequence: int, kind: str, detail: str = "") -> None:
        """Add a fault, of which the first hundred are kept."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(sequence, kind, detail))


async def verify(context: Context, tenant: str, *, known: Link | None = None) -> Verdict:
    """Read the whole trail and check it. `known` is a place that an earlier export or verdict named: it must still be there."""
    sealers, audit_key = await sealers_of(context, tenant), await context.keyring.audit_key(tenant)
    erased = [
        entity.row
        async for entity in context.tables.query(
            AUDIT, tenant, start=FIRST_ROW, end=END_OF_ROWS, where=Compare("Action", "eq", TENANT_ERASED), select=()
        )
    ]
    # the ends first: entries that are added while we read come after them
    witness = await context.tables.get(TENANTS, tenant, WITNESS)
    head = await context.tables.get(AUDIT, tenant, HEAD)
    anchor = await context.tables.get(AUDIT, tenant, ANCHOR)
    start = link_of(anchor) if anchor is not None else ORIGIN
    verdict = Verdict(first=start.sequence + 1, last=start.sequence)
    ends: dict[int, list[str]] = {}
    for name, place in (("the anchor", anchor), ("the head", head), ("the witness", witness)):
        if place is None:
            continue
        if not is_genuine(place, audit_key):
            verdict.note(link_of(place).sequence, "forged", f"{name} does not carry our tag")
        ends.setdefault(link_of(place).sequence, []).append(link_of(place).hash)
    if known is not None:
        ends.setdefault(known.sequence, []).append(known.hash)
    if start.sequence and any(hash_ != start.hash for hash_ in ends.pop(start.sequence, [])):
        verdict.note(start.sequence, "changed", "it is not the entry that was there")
    if head is None and ends:
        verdict.note(max(ends), "missing", "the head is gone")
    expected, previous = start.sequence + 1, start.hash
    async for entity in stored_entries(context.tables, tenant, after=start.sequence):
        here = int(entity.row.rpartition(":")[2])
        if here > expected:
            _note_missing(verdict, expected, here - 1)
        # the tenant's data key was destroyed after these: what it sealed nobody can read
        readable = not erased or entity.row >= max(erased)
        problem = _problem(entity, here, sealers, audit_key, readable=readable)
        if problem is not None:
            verdict.note(here, *problem)
        elif here == expected and previous and entity.values.get("Previous") != previous:
            verdict.note(here, "changed", "it does not follow the entry before it")
        elif any(hash_ != link_of(entity).hash for hash_ in ends.get(here, [])):
            verdict.note(here, "changed", "it is not the entry that was there")
        # after an entry that is wrong nothing can be said about what follows it
        previous = str(entity.values.get("Hash")) if problem is None else ""
        expected, verdict.last = here + 1, here
        verdict.entries += 1
        verdict.shredded += "Actor" not in entity.values
    if ends and max(ends) >= expected:
        _note_missing(verdict, expected, max(ends))
    verdict.newest = Link(verdict.last, previous) if previous and verdict.entries else None
    return verdict


def _problem(entity: Entity, here: int, sealers: Sequence[Sealer], audit_key: bytes, *, readable: bool) -> tuple[str, str] | None:
    values = entity.values
    absent = [name for name in (*CHAINED, "Hash", "Tag") if name not in values]
    if absent:
        return "changed", f"{absent[0]} is gone"
    computed = hash_of(values)
    genuine = hmac.compare_digest(str(values["Tag"]), tag_of(audit_key, computed))
    if genuine and values["Sequence"] != here:
        return "moved", f"it belongs to place {link_of(entity).sequence}"
    if not genuine or values["Hash"] != computed:
        return "changed", ""
    for name in ("Actor", "Details"):
        if name not in values:
            if name == "Details":
                return "changed", "its details are gone"
            continue
        part = opened(sealers, entity, name)
        if part is None and not readable:
            continue
        if part is None:
            return "changed", f"its {name.lower()} cannot be opened"
        if commitment_to(part) != values[f"{name}Commitment"]:
            return "changed", f"its {name.lower()} is another"
    return None


def _note_missing(verdict: Verdict, first: int, last: int) -> None:
    for sequence in range(first, min(last, first + MOST_FAULTS) + 1):
        verdict.note(sequence, "missing")
