"""What employees see of the lists in their own mailbox, and of themselves in lists, and what they choose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sync_core import buckets
from sync_core.choices import Choice, choices_in, effective
from sync_core.engine.context import Context
from sync_core.errors import InputError, LostPagesError, NotFoundError
from sync_core.hiding import CardField
from sync_core.model import Item, Replica
from sync_core.state.choices import load_choice, load_hidden_by, save_choice, save_hidden
from sync_core.state.replicas import load_replica
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.syncs import Sync, load_sync, syncs_of
from sync_core.state.tenants import load_tenant


@dataclass(frozen=True, slots=True)
class MyList:
    """A sync that reaches an employee's mailbox, or may. `replica` is None until a run has heeded the choice."""

    sync: Sync
    replica: Replica | None
    choice: Choice

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What the employee may choose."""
        return choices_in(self.sync.definition.self_service)


@dataclass(frozen=True, slots=True)
class Card:
    """An employee as one sync shows them to others: the properties of a contact."""

    sync: Sync
    contact: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MyFields:
    """What an employee may hide of the own card in all lists, and does. `kept` is hidden no more since it is not allowed now."""

    hideable: tuple[CardField, ...]
    hidden: frozenset[CardField]
    kept: frozenset[CardField] = frozenset()


async def my_lists(context: Context, tenant: str, person: str) -> AsyncIterator[MyList]:
    """The lists that reach a person's mailbox, or may, by the sync's id."""
    async for sync in syncs_of(context.tables, tenant):
        found = await _my_list(context, sync, person)
        if found is not None:
            yield found


async def my_list(context: Context, tenant: str, sync_id: str, person: str, *, wants: Choice) -> MyList:
    """A list as it is before the person chooses. Raises NotFoundError, or InputError when they may not choose what they want."""
    found = await _my_list(context, await load_sync(context.tables, tenant, sync_id), person)
    if found is None:
        raise NotFoundError("this sync does not exist")  # which lists others have is nobody's business
    if wants not in found.choices:
        raise InputError("choice", f"must be {' or '.join(found.choices)}: your administrator allows nothing else for this list")
    return found


async def choose(context: Context, one: MyList, person: str, choice: Choice) -> MyList:
    """Note what a person wants of a list; the next run heeds it."""
    await save_choice(context.tables, one.sync.tenant, one.sync.sync, person, choice)
    return replace(one, choice=choice)


async def my_cards(context: Context, tenant: str, person: str) -> AsyncIterator[Card]:
    """How the current snapshots show a person to others, by the sync's id. A sync whose snapshot was purged shows nothing yet."""
    keys = await context.keyring.keys(tenant)
    async for sync in syncs_of(context.tables, tenant):
        store = SnapshotStore(context.tables, keys.sealer, tenant, sync.sync)
        head = await store.head()
        if head is not None and (item := await _item_of(store, head, f"u:{person}")) is not None:
            contact = orjson.loads(item.body)
            yield Card(sync, {name: contact[name] for name in head.owned if contact.get(name)})


async def my_fields(context: Context, tenant: str, person: str) -> MyFields:
    """What a person may hide of the own card, and does."""
    hideable = (await load_tenant(context.tables, tenant)).settings.hideable
    chosen = await load_hidden_by(context.tables, tenant, person)
    return MyFields(hideable, chosen & frozenset(hideable), chosen - frozenset(hideable))


def check_hideable(mine: MyFields, wanted: Collection[CardField]) -> None:
    """Check that a person may hide these fields. Raises InputError."""
    if set(wanted) - set(mine.hideable):
        allowed = ", ".join(mine.hideable) or "none"
        raise InputError("hidden", f"may name only what your administrator lets employees hide: {allowed}")


async def hide(context: Context, tenant: str, person: str, mine: MyFields, wanted: Collection[CardField]) -> MyFields:
    """Hide these fields of the own card and no other; the next run of each sync heeds it."""
    await save_hidden(context.tables, tenant, person, mine.kept.union(wanted))
    return replace(mine, hidden=frozenset(wanted))


async def _my_list(context: Context, sync: Sync, person: str) -> MyList | None:
    if sync.deleting:
        return None
    rules = sync.definition.self_service
    replica = await load_replica(context.tables, sync.tenant, sync.sync, person)
    chosen = await load_choice(context.tables, sync.tenant, sync.sync, person) if len(choices_in(rules)) > 1 else None
    if replica is None and chosen is None:
        return None
    return MyList(sync, replica, effective(rules, chosen))


async def _item_of(store: SnapshotStore, head: SnapshotHead, key: str) -> Item | None:
    """A person's item: under the own key, or merged with others under a longer one."""
    pages = range(len(head.digests))
    first = buckets.bucket_of(key, len(pages))
    try:
        for number in (first, *(number for number in pages if number != first)):
            for item_key, item in (await store.page(head, number)).items():
                if key in item_key.split("+"):
                    return item
    except LostPagesError:
        pass
    return None
