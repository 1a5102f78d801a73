"""Brings what we know of a source up to date: by delta, and in full once a week or whenever there is a doubt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from secrets import token_hex
from typing import Any

import orjson

from sync_core import buckets
from sync_core.encoding import kept as encoded
from sync_core.errors import ConflictError, DeltaExpiredError, LostPagesError, SourceError
from sync_core.model import SourcePage
from sync_core.sources.base import Reading
from sync_core.state.sources import PAGES_AT_ONCE, PageRef, SourceHead, SourceStore

FULL_EVERY = timedelta(days=7)
"""A delta with $select has been seen to miss changes: https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/5821."""

Pages = Callable[[str | None], AsyncIterator[SourcePage]]
"""All objects (no link), or what changed since; the last page carries the next link."""

Merge = Callable[[Mapping[str, Any] | None, Mapping[str, Any]], dict[str, Any]]
"""What we keep of an object: what we had, brought up to date with one object of a page."""


async def bring_up_to_date(
    reading: Reading, source: str, pages: Pages, merge: Merge, *, asked: str, in_full: bool = False
) -> SourceHead:
    """The source as it is now. Pages are stored before the head that names them.

    `asked` names what `pages` asks for. Raises SourceError when the source cannot be read completely: then nothing has changed.
    """
    store = reading.store(source)
    generation = token_hex(8)
    known = await store.head()
    if known is None:
        await store.discard_head()
    elif not (in_full or reading.in_full) and known.asked == asked and reading.clock.now() - known.full_at < FULL_EVERY:
        try:
            return await _read_delta(store, known, generation, pages, merge)
        except (DeltaExpiredError, LostPagesError):
            known = await store.head()
    return await _read_full(reading, store, known, generation, pages, merge, asked)


async def _read_full(
    reading: Reading, store: SourceStore, known: SourceHead | None, generation: str, pages: Pages, merge: Merge, asked: str
) -> SourceHead:
    started = reading.clock.now()
    objects: dict[str, bytes] = {}
    link = None
    async for page in pages(None):
        for raw in page.changed:
            before = objects.get(raw["id"])
            objects[raw["id"]] = encoded(merge(orjson.loads(before) if before else None, raw))
        for gone in page.removed:
            objects.pop(gone, None)
        link = page.delta_link
    if link is None:
        raise SourceError("ended without a delta link")
    count = buckets.bucket_count(len(objects), len(known.pages) if known else None)
    refs = await store.write_all(generation, objects, count, read_at=started)
    return await flip(store, SourceHead(refs, len(objects), started, link, asked), known)


async def _read_delta(store: SourceStore, known: SourceHead, generation: str, pages: Pages, merge: Merge) -> SourceHead:
    news: dict[str, list[dict[str, Any] | None]] = {}  # per object, in the order told; None: removed
    link = None
    async for page in pages(known.delta_link):
        for raw in page.changed:
            news.setdefault(raw["id"], []).append(raw)
        for gone in page.removed:
            news[gone] = [None]
        link = page.delta_link
    if link is None:
        raise SourceError("ended without a delta link")
    refs = list(known.pages)
    count = known.count
    by_page: dict[int, dict[str, list[dict[str, Any] | None]]] = {}
    for key, told in news.items():
        by_page.setdefault(buckets.bucket_of(key, len(refs)), {})[key] = told
    changed: dict[int, dict[str, dict[str, Any]]] = {}
    async for number, content in store.some(known, by_page):
        before = len(content)
        for key, told in by_page[number].items():
            value = _retold(content.get(key), told, merge)
            if value is None:
                content.pop(key, None)
            else:
                content[key] = value
        count += len(content) - before
        if store.digest(content) != known.pages[number].digest:
            changed[number] = content
        if len(changed) == PAGES_AT_ONCE:
            await _write(store, refs, generation, changed, known)
    await _write(store, refs, generation, changed, known)
    return await flip(store, SourceHead(tuple(refs), count, known.full_at, link, known.asked), known)


async def _write(
    store: SourceStore, refs: list[PageRef], generation: str, changed: dict[int, dict[str, dict[str, Any]]], known: SourceHead
) -> None:
    for number, ref in (await store.write_pages(generation, changed, read_at=known.full_at)).items():
        refs[number] = ref
    changed.clear()


def _retold(value: dict[str, Any] | None, told: list[dict[str, Any] | None], merge: Merge) -> dict[str, Any] | None:
    for raw in told:
        value = None if raw is None else merge(value, raw)
    return value


async def flip(store: SourceStore, head: SourceHead, known: SourceHead | None) -> SourceHead:
    """Make a head the current one, unless another reader was first. Returns the one that is."""
    try:
        await store.flip(head, known.etag if known else "")
    except ConflictError:
        # another sync of the tenant read at the same time and was first: its reading is at least as good
        winner = await store.head()
        if winner is None:
            raise SourceError("purged while it was read") from None
        return winner
    return head
