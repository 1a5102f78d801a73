"""Everything that is stored, opened row by row with nothing but the key and the map of data: the stores are not asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gdpr.data_map import DATA_MAP
from sync_core.ports import Sealer
from sync_core.state.names import ANSWERS
from tests.engine.world import TENANT, World


@dataclass(frozen=True, slots=True)
class SealedValue:
    """Sealed bytes and where they lie. `name` is "" for the pages of a cache, which make one value of a row."""

    table: str
    partition: str
    row: str
    name: str
    sealed: bytes

    def place(self, *, table: str = "", partition: str = "", row: str = "", name: str = "") -> str:
        """What it is bound to, or what it would be bound to elsewhere."""
        parts = [table or self.table, partition or self.partition, row or self.row]
        return "|".join([*parts, name or self.name] if self.name else parts)

    def opened(self, sealer: Sealer) -> bytes:
        """The plain bytes."""
        return sealer.open(self.sealed, place=self.place())


async def sealed_values(world: World) -> AsyncIterator[SealedValue]:
    """All sealed values of all tables."""
    for stored in DATA_MAP:
        async for entity in world.tables.stored.scan(stored.table):
            found = {
                name: value
                for name, value in entity.values.items()
                if isinstance(value, bytes) and value and stored.is_sealed(name)
            }
            if "Page*" in stored.sealed:
                pages = [found[f"Page{number}"] for number in range(len(found))]
                found = {"": b"".join(pages)} if pages else {}
            for name, value in found.items():
                shown = "" if stored.table == ANSWERS else name
                yield SealedValue(stored.table, entity.partition, entity.row, shown, value)


async def plain_rows(world: World) -> AsyncIterator[tuple[str, bytes]]:
    """Everything that is stored, by table, in plain bytes: what is sealed opened, the rest as it is."""
    sealer = (await world.context.keyring.keys(TENANT)).sealer
    async for value in sealed_values(world):
        yield value.table, value.opened(sealer)
    for stored in DATA_MAP:
        async for entity in world.tables.stored.scan(stored.table):
            yield stored.table, repr((entity.partition, entity.row, entity.values)).encode()
