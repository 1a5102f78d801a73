"""Refusals: which items users deleted for good, under the policy "respect". Not a cache: they must survive every purge.

An item is known by a keyed hash of each of its source keys, so that the row says nothing to whoever lacks the tenant's key, and a
person whom sources merge or part stays refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count

from sync_core.ports import Put, Remove, Row, Tables
from sync_core.state.names import REFUSALS, partition
from sync_core.state.rows import LARGEST_VALUE, grouped

_SIZE = 8


@dataclass(slots=True)
class Refusals:
    """What one user has refused. `changed` says that it differs from what is stored."""

    key: bytes
    hashes: set[bytes] = field(default_factory=set)
    changed: bool = False

    def __contains__(self, item_key: object) -> bool:
        return isinstance(item_key, str) and not self.hashes.isdisjoint(self._hashes([item_key]))

    def add(self, item_keys: Iterable[str]) -> None:
        """The user has deleted these."""
        self._change(self.hashes | self._hashes(item_keys))

    def discard(self, item_keys: Iterable[str]) -> None:
        """The user has these, again perhaps."""
        if self.hashes:
            self._change(self.hashes - self._hashes(item_keys))

    def _change(self, hashes: set[bytes]) -> None:
        self.changed = self.changed or hashes != self.hashes
        self.hashes = hashes

    def _hashes(self, item_keys: Iterable[str]) -> set[bytes]:
        parts = (part for item_key in item_keys for part in item_key.split("+"))
        return {blake2b(part.encode(), key=self.key, digest_size=_SIZE, person=b"refusal").digest() for part in parts}


class RefusalStore:
    """The refusals of one sync, hashed with the tenant's fingerprint key."""

    def __init__(self, tables: Tables, key: bytes, tenant: str, sync: str) -> None:
        self._tables = tables
        self._key = key
        self._partition = partition(tenant, sync)

    async def load(self, mailbox: str) -> Refusals:
        """What the user of a mailbox has refused."""
        entity = await self._tables.get(REFUSALS, self._partition, mailbox)
        parts: list[bytes] = []
        for number in count():
            part = entity.values.get(f"Hashes{number}") if entity is not None else None
            if not isinstance(part, bytes):
                break
            parts.append(part)
        packed = b"".join(parts)
        return Refusals(self._key, {packed[at : at + _SIZE] for at in range(0, len(packed), _SIZE)})

    async def save(self, mailbox: str, refusals: Refusals) -> None:
        """Store what has changed."""
        if not refusals.changed:
            return
        packed = b"".join(sorted(refusals.hashes))
        values: Row = {
            f"Hashes{number}": packed[at : at + LARGEST_VALUE] for number, at in enumerate(range(0, len(packed), LARGEST_VALUE))
        }
        await self._tables.commit(REFUSALS, self._partition, [Put(mailbox, values) if values else Remove(mailbox)])
        refusals.changed = False

    async def remove(self, mailboxes: Sequence[str]) -> None:
        """Forget what the users of these mailboxes have refused."""
        for group in grouped(map(Remove, mailboxes)):
            await self._tables.commit(REFUSALS, self._partition, group)
