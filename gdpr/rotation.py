"""Rotation of a tenant's data key: announced, used, and what was sealed before sealed anew in the background.

Fingerprints and suppressions have keys of their own that never change, so no mailbox is written. Rows keep the age of their
content. Whoever dies goes on the next day, with the purge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta

from gdpr.data_map import DATA_MAP, stored_in
from gdpr.encryption import DataKeyChange, TenantKeyring
from gdpr.export import KEPT_FOR
from gdpr.sealed_tables import SealedTables, place
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError, LostPagesError
from sync_core.ports import Entity, Put, Remove, Replace, Scalar, Sealer, Tables
from sync_core.state import pages
from sync_core.state.names import ANSWERS, CACHES, LEDGERS, READ_AT, TENANTS, partitions_of

SPREAD = timedelta(minutes=20)
"""How long a process may not know of a new key: longer than the keyring keeps what it has read."""

FORMER_KEPT = KEPT_FOR + timedelta(days=1)
"""Exports are not sealed anew: they last seven days."""

ROWS_PER_STEP = 500
_CURSOR = "rotation"
_TABLES = tuple(stored.table for stored in DATA_MAP if stored.sealed)


async def begin_rotation(context: Context, tenant: str) -> None:
    """Announce a new data key. `advance` does the rest. Raises InputError while a rotation is under way."""
    keyring = _keyring(context)
    await context.keyring.keys(tenant)
    done, _ = await keyring.rotation(tenant)
    if done is not None:
        raise InputError("rotation", "is under way: the former one ends about eight days after it began")
    await keyring.change_data_key(tenant, DataKeyChange.ANNOUNCE, context.now())


async def advance(context: Context, tenant: str) -> float | None:
    """Take the next step of a rotation; returns in how many seconds to come again, None when that may wait until tomorrow."""
    keyring = _keyring(context)
    await keyring.rewrap(tenant)
    done, at = await keyring.rotation(tenant)
    if done is None or at is None:
        return None
    waited = context.now() - at
    if waited < SPREAD:
        return (SPREAD - waited).total_seconds()
    if done is DataKeyChange.ANNOUNCE:
        await context.tables.commit(TENANTS, tenant, [Remove(_CURSOR)])
        await keyring.change_data_key(tenant, DataKeyChange.ACTIVATE, context.now())
        return SPREAD.total_seconds()
    if await _seal_some(context, tenant):
        return 1.0
    if waited >= FORMER_KEPT:
        await keyring.change_data_key(tenant, DataKeyChange.FORGET, context.now())
    return None


async def _seal_some(context: Context, tenant: str) -> bool:
    """Seal a bounded number of rows anew, from where the last step stopped; returns whether there are more."""
    tables = context.tables.beneath if isinstance(context.tables, SealedTables) else context.tables
    sealer = (await context.keyring.keys(tenant)).sealer
    cursor = await context.tables.get(TENANTS, tenant, _CURSOR)
    at = str(cursor.values["Cursor"]) if cursor is not None else ""
    sealed = 0
    for number, table in enumerate(_TABLES):
        async for entity in _rows(tables, table, tenant):
            here = f"{number:02d}|{entity.partition}|{entity.row}"
            if here <= at:
                continue
            with suppress(ConflictError, LostPagesError):  # a writer was first, under the new key; or nothing can be saved
                sealed += await _seal_anew(tables, sealer, table, entity)
            if sealed >= ROWS_PER_STEP:
                await context.tables.commit(TENANTS, tenant, [Put(_CURSOR, {"Cursor": here})])
                return True
    await context.tables.commit(TENANTS, tenant, [Remove(_CURSOR)])
    return False


async def _rows(tables: Tables, table: str, tenant: str) -> AsyncIterator[Entity]:
    async for entity in tables.query(table, tenant):
        yield entity
    start, end = partitions_of(tenant)
    async for entity in tables.scan(table, partitions_from=start, partitions_to=end):
        yield entity


async def _seal_anew(tables: Tables, sealer: Sealer, table: str, entity: Entity) -> bool:
    """One row; returns whether it was written. Its other values, the age of its content among them, stay."""
    values: dict[str, Scalar | None] = dict(entity.values)
    if table in CACHES and table != LEDGERS:
        first, read_at = entity.values.get("Page0"), entity.values.get(READ_AT)
        if not isinstance(first, bytes) or sealer.is_current(first):
            return False
        plain = pages.open_values(sealer, table, entity)
        extra = {name: value for name, value in values.items() if not name.startswith("Page")}
        values = pages.sealed_values(sealer, table, entity.partition, entity.row, plain, read_at=_time(read_at), extra=extra)
    else:
        stale = [name for name in values if _is_sealed(table, name) and _is_stale(sealer, values[name])]
        if not stale:
            return False
        for name in stale:
            where = _place(table, entity, name)
            values[name] = sealer.seal(sealer.open(_bytes(values[name]), place=where), place=where)
    await tables.commit(table, entity.partition, [Replace(entity.row, values, entity.etag)])
    return True


def _is_stale(sealer: Sealer, value: object) -> bool:
    return isinstance(value, bytes) and value != b"" and not sealer.is_current(value)


def _is_sealed(table: str, name: str) -> bool:
    stored = stored_in(table)
    return stored is not None and stored.is_sealed(name)


def _place(table: str, entity: Entity, name: str) -> str:
    if table == ANSWERS:
        return f"{ANSWERS}|{entity.partition}|{entity.row}"
    return place(table, entity.partition, entity.row, name)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _time(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value


def _keyring(context: Context) -> TenantKeyring:
    assert isinstance(context.keyring, TenantKeyring)
    return context.keyring
