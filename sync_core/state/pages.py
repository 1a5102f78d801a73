"""Pages: sealed bytes of any size up to about a megabyte, one per row, split over binary properties.

Each carries `ReadAt`, when its content was read from Microsoft; retention goes by it, and whoever writes a page anew from stored
content hands the old time on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterable, Mapping
from datetime import datetime
from itertools import count

from sync_core.ports import Entity, Put, Remove, Row, Scalar, Sealer, Tables
from sync_core.state.names import READ_AT
from sync_core.state.rows import LARGEST_VALUE, grouped

LARGEST_PAGE = 1_000_000  # sealed; leaves room for keys, names and some more values within the 1 MiB of a row


def sealed_values(
    sealer: Sealer, table: str, partition: str, row: str, content: bytes, *, read_at: datetime, extra: Row | None = None
) -> dict[str, Scalar | None]:
    """The values of a row that holds `content` sealed for that row, to be written in a transaction of the caller's.

    Raises ValueError when the content is too large once sealed.
    """
    sealed = sealer.seal(content, place=_place(table, partition, row))
    if len(sealed) > LARGEST_PAGE:
        raise ValueError(
            f"a page of {len(content)} bytes takes {len(sealed)} sealed, more than {LARGEST_PAGE}: make pages smaller"
        )
    parts = (sealed[at : at + LARGEST_VALUE] for at in range(0, len(sealed), LARGEST_VALUE))
    return {**(extra or {}), READ_AT: read_at, **{f"Page{number}": part for number, part in enumerate(parts)}}


def open_values(sealer: Sealer, table: str, entity: Entity) -> bytes:
    """The content of a page's row. Raises LostPagesError."""
    parts = []
    for number in count():
        part = entity.values.get(f"Page{number}")
        if not isinstance(part, bytes):
            break
        parts.append(part)
    return sealer.open(b"".join(parts), place=_place(table, entity.partition, entity.row))


async def write_pages(
    tables: Tables,
    sealer: Sealer,
    table: str,
    partition: str,
    pages: Mapping[str, bytes],
    *,
    read_at: datetime,
    extra: Mapping[str, Row] | None = None,
) -> None:
    """Write pages by row key, in as few transactions as there can be. Each transaction is atomic, the whole is not."""
    more = extra or {}
    writes = (
        Put(row, sealed_values(sealer, table, partition, row, content, read_at=read_at, extra=more.get(row)))
        for row, content in pages.items()
    )
    for group in grouped(writes):
        await tables.commit(table, partition, group)


async def read_page(tables: Tables, sealer: Sealer, table: str, partition: str, row: str) -> bytes | None:
    """One page; None when there is no such row. Raises LostPagesError."""
    entity = await tables.get(table, partition, row)
    return None if entity is None else open_values(sealer, table, entity)


async def read_pages(
    tables: Tables, sealer: Sealer, table: str, partition: str, start: str = "", end: str = "", only: Container[str] | None = None
) -> AsyncIterator[tuple[str, bytes, Entity]]:
    """The pages with `start` <= row key < `end` in order, or `only` those of them, each with its row. Raises LostPagesError."""
    async for entity in tables.query(table, partition, start=start, end=end):
        if only is None or entity.row in only:
            yield entity.row, open_values(sealer, table, entity), entity


async def remove_pages(tables: Tables, table: str, partition: str, rows: Iterable[str]) -> None:
    """Delete pages by row key; one that is gone is no error."""
    for group in grouped(map(Remove, rows)):
        await tables.commit(table, partition, group)


def _place(table: str, partition: str, row: str) -> str:
    return f"{table}|{partition}|{row}"
