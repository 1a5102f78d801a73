"""What employees have chosen: sync by sync, and of their own cards for all syncs. No cache: it must survive every purge.

The choices for a sync are kept while it lives, those for the own card until they are taken back.
"""

from __future__ import annotations

from collections.abc import Collection

from sync_core.choices import Choice
from sync_core.hiding import CardField, Chosen
from sync_core.ports import Entity, Insert, Put, Remove, Replace, Tables
from sync_core.state.names import CHOICES, partition
from sync_core.state.rows import grouped

_CARD = "_card"
"""Stands for a sync's id: none begins like that."""


async def load_choices(tables: Tables, tenant: str, sync: str) -> dict[str, Choice]:
    """Every choice, by mailbox."""
    rows = tables.query(CHOICES, partition(tenant, sync), select=["Choice"])
    return {entity.row: Choice(str(entity.values["Choice"])) async for entity in rows if "Choice" in entity.values}


async def load_choice(tables: Tables, tenant: str, sync: str, mailbox: str) -> Choice | None:
    """What one employee has chosen, if anything."""
    entity = await tables.get(CHOICES, partition(tenant, sync), mailbox)
    return Choice(str(entity.values["Choice"])) if entity is not None and "Choice" in entity.values else None


async def save_choice(tables: Tables, tenant: str, sync: str, mailbox: str, choice: Choice) -> None:
    """Note what an employee chooses, beside whatever else the row says; the next run that reads the sources heeds it.

    Raises ConflictError when the row changed meanwhile.
    """
    where, chosen = partition(tenant, sync), {"Choice": str(choice)}
    entity = await tables.get(CHOICES, where, mailbox)
    write = Insert(mailbox, chosen) if entity is None else Replace(mailbox, {**entity.values, **chosen}, entity.etag)
    await tables.commit(CHOICES, where, [write])


async def remove_choices(tables: Tables, tenant: str, sync: str) -> None:
    """Forget the choices of a sync that is no more."""
    rows = [entity.row async for entity in tables.query(CHOICES, partition(tenant, sync), select=())]
    for group in grouped(map(Remove, rows)):
        await tables.commit(CHOICES, partition(tenant, sync), group)


async def load_hidden(tables: Tables, tenant: str) -> Chosen:
    """The fields that employees hide of their own cards, by object id."""
    rows = tables.query(CHOICES, partition(tenant, _CARD))
    return {entity.row: _hidden(entity) async for entity in rows}


async def load_hidden_by(tables: Tables, tenant: str, user: str) -> frozenset[CardField]:
    """What one employee hides."""
    entity = await tables.get(CHOICES, partition(tenant, _CARD), user)
    return _hidden(entity) if entity is not None else frozenset()


async def save_hidden(tables: Tables, tenant: str, user: str, fields: Collection[CardField]) -> None:
    """Note what an employee hides, instead of what they hid before; the next run of each sync heeds it."""
    write = Put(user, {"Hidden": ",".join(sorted(fields))}) if fields else Remove(user)
    await tables.commit(CHOICES, partition(tenant, _CARD), [write])


async def forget_choices(tables: Tables, tenant: str, syncs: Collection[str], user: str) -> int:
    """Forget all that an employee has chosen; returns how many choices those were."""
    found = 0
    for part in (*syncs, _CARD):
        where = partition(tenant, part)
        if await tables.get(CHOICES, where, user) is not None:
            await tables.commit(CHOICES, where, [Remove(user)])
            found += 1
    return found


def _hidden(entity: Entity) -> frozenset[CardField]:
    known = {str(name) for name in CardField}
    return frozenset(CardField(name) for name in str(entity.values["Hidden"]).split(",") if name in known)
