"""What employees have chosen, sync by sync. Not a cache: it must survive every purge. Kept while the sync lives."""

from __future__ import annotations

from sync_core.choices import Choice
from sync_core.ports import Put, Remove, Tables
from sync_core.state.names import CHOICES, partition
from sync_core.state.rows import grouped


async def load_choices(tables: Tables, tenant: str, sync: str) -> dict[str, Choice]:
    """Every choice, by mailbox."""
    rows = tables.query(CHOICES, partition(tenant, sync), select=["Choice"])
    return {entity.row: Choice(str(entity.values["Choice"])) async for entity in rows}


async def load_choice(tables: Tables, tenant: str, sync: str, mailbox: str) -> Choice | None:
    """What one employee has chosen, if anything."""
    entity = await tables.get(CHOICES, partition(tenant, sync), mailbox)
    return None if entity is None else Choice(str(entity.values["Choice"]))


async def save_choice(tables: Tables, tenant: str, sync: str, mailbox: str, choice: Choice) -> None:
    """Note what an employee chooses; the next run that reads the sources heeds it."""
    await tables.commit(CHOICES, partition(tenant, sync), [Put(mailbox, {"Choice": str(choice)})])


async def remove_choices(tables: Tables, tenant: str, sync: str) -> None:
    """Forget the choices of a sync that is no more."""
    chosen = await load_choices(tables, tenant, sync)
    for group in grouped(map(Remove, sorted(chosen))):
        await tables.commit(CHOICES, partition(tenant, sync), group)
