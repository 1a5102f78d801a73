"""What employees have chosen, sync by sync. Not a cache: it must survive every purge. Kept while the sync lives."""

from __future__ import annotations

from sync_core.choices import Choice
from sync_core.ports import Insert, Remove, Replace, Tables
from sync_core.state.names import CHOICES, partition
from sync_core.state.rows import grouped


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
