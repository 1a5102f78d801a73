"""The items of a sync of calendars: what its window shows of their events, by its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from sync_core.definition import FromCalendar
from sync_core.engine.context import Context
from sync_core.engine.material import Material
from sync_core.engine.work import Work
from sync_core.events import end_of, item_of
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import EVENTS
from sync_core.model import Delete, Item, Operation, Replica
from sync_core.named import owned_by, told_of, without
from sync_core.state.syncs import Forecast, Sync
from sync_core.windows import Window


async def items_of_calendars(
    context: Context, sync: Sync, material: Material, fingerprinter: Fingerprinter
) -> tuple[dict[str, Item], dict[str, int], Forecast]:
    """All items by key, how many there are of each source, and what the window will leave behind. Raises LostPagesError."""
    rules = sync.definition.event_rules
    items: dict[str, Item] = {}
    shares: dict[str, int] = {}
    forecast = Forecast(material.window.first)
    for definition, source in material.sources:
        assert isinstance(definition, FromCalendar)
        owner = owned_by(str(definition.mailbox), material.suppressed.key)
        spans: list[tuple[str, str]] = []
        async for key, occurrence in source.people(material.heads):
            if material.window.holds(occurrence["start"], occurrence["end"]) and rules.mirrors(occurrence):
                spans.append((occurrence["start"], occurrence["end"]))
                shown = without(occurrence, material.suppressed.holds)
                item = item_of(
                    shown,
                    key=key,
                    installation=context.installation,
                    sync=sync.sync,
                    fingerprinter=fingerprinter,
                    rules=rules,
                    prefix=definition.prefix,
                    category=definition.category,
                )
                items[key] = replace(item, named=told_of(rules.told(shown), owner))
        shares[source.id] = len(spans)
        forecast.departures[source.id] = material.window.departures(spans)
    return items, shares, forecast


async def slid_out(work: Work, replica: Replica, operations: list[Operation]) -> int:
    """How many of the deletions are of events that the window has left behind: no reason for an alarm.

    The mailbox is asked when they ended; worth its request only where there would be an alarm.
    """
    if work.mailboxes.kind is not EVENTS:
        return 0
    window = work.sync.definition.event_rules.window(work.context.now())
    ids = {operation.item_id for operation in operations if isinstance(operation, Delete)}
    pages = work.mailboxes.items(replica.mailbox, replica.folder_id, fields=("end",))
    return sum([item.item_id in ids and is_past(window, item.fields or {}) async for page in pages for item in page])


def is_past(window: Window, fields: Mapping[str, Any]) -> bool:
    """Whether an event that was read back has slid out of a window."""
    return window.is_past(end_of(fields))
