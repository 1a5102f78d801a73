"""Brings what we know of a tenant's directory up to date: by delta, and in full once a week or whenever there is a doubt."""

from __future__ import annotations

from datetime import timedelta
from secrets import token_hex
from typing import Any

import orjson

from sync_core import buckets
from sync_core.directory import merge
from sync_core.encoding import kept
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, DeltaExpiredError, LostPagesError, SourceError
from sync_core.model import Spent
from sync_core.ports import TenantKeys
from sync_core.state.sources import PageRef, SourceHead, SourceStore, spread

SOURCE = "users"
FULL_EVERY = timedelta(days=7)
"""A delta with $select has been seen to miss changes: https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/5821."""


def directory_store(context: Context, keys: TenantKeys, tenant: str) -> SourceStore:
    """Where a tenant's directory is kept."""
    return SourceStore(context.tables, keys, tenant, SOURCE)


async def read_directory(context: Context, keys: TenantKeys, tenant: str, *, in_full: bool, spent: Spent) -> SourceHead:
    """The directory as Microsoft tells it now. Pages are stored before the head that names them.

    What it took of Graph is added to `spent`. Raises SourceError when it cannot be read completely: then nothing has changed.
    """
    store = directory_store(context, keys, tenant)
    generation = token_hex(8)
    known = await store.head()
    if known is None:
        await store.discard_head()
    if known is not None and not in_full and context.now() - known.full_at < FULL_EVERY:
        try:
            return await _read_delta(context, store, tenant, known, generation, spent)
        except (DeltaExpiredError, LostPagesError):
            known = await store.head()
    return await _read_full(context, store, tenant, known, generation, spent)


async def _read_full(
    context: Context, store: SourceStore, tenant: str, known: SourceHead | None, generation: str, spent: Spent
) -> SourceHead:
    started = context.now()
    directory = context.graph.directory(tenant)
    users: dict[str, bytes] = {}
    link = None
    try:
        async for page in directory.users(None):
            for raw in page.changed:
                before = users.get(raw["id"])
                users[raw["id"]] = kept(merge(orjson.loads(before) if before else None, raw))
            for gone in page.removed:
                users.pop(gone, None)
            link = page.delta_link
    finally:
        spent.add(directory.spent)
    if link is None:
        raise SourceError("the directory ended without a delta link")
    count = buckets.bucket_count(len(users), len(known.pages) if known else None)
    refs = [
        await store.write_page(generation, number, {key: orjson.loads(value) for key, value in page.items()}, read_at=started)
        for number, page in enumerate(spread(users, count))
    ]
    head = SourceHead(tuple(refs), len(users), started, link)
    return await _flip(store, head, known)


async def _read_delta(
    context: Context, store: SourceStore, tenant: str, known: SourceHead, generation: str, spent: Spent
) -> SourceHead:
    directory = context.graph.directory(tenant)
    news: dict[str, list[dict[str, Any] | None]] = {}  # per object, in the order told; None: removed
    link = None
    try:
        async for page in directory.users(known.delta_link):
            for raw in page.changed:
                news.setdefault(raw["id"], []).append(raw)
            for gone in page.removed:
                news[gone] = [None]
            link = page.delta_link
    finally:
        spent.add(directory.spent)
    if link is None:
        raise SourceError("the directory ended without a delta link")
    refs = list(known.pages)
    count = known.count
    by_page: dict[int, dict[str, list[dict[str, Any] | None]]] = {}
    for key, told in news.items():
        by_page.setdefault(buckets.bucket_of(key, len(refs)), {})[key] = told
    for number, objects in by_page.items():
        content = await store.page(known, number)
        before = len(content)
        for key, told in objects.items():
            user = _retold(content.get(key), told)
            if user is None:
                content.pop(key, None)
            else:
                content[key] = user
        count += len(content) - before
        refs[number] = await _write_if_changed(store, known.pages[number], generation, number, content, known)
    return await _flip(store, SourceHead(tuple(refs), count, known.full_at, link), known)


def _retold(user: dict[str, Any] | None, told: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    for raw in told:
        user = None if raw is None else merge(user, raw)
    return user


async def _write_if_changed(
    store: SourceStore, old: PageRef, generation: str, number: int, content: dict[str, dict[str, Any]], known: SourceHead
) -> PageRef:
    if store.digest(content) == old.digest:
        return old
    return await store.write_page(generation, number, content, read_at=known.full_at)


async def _flip(store: SourceStore, head: SourceHead, known: SourceHead | None) -> SourceHead:
    try:
        await store.flip(head, known.etag if known else "")
    except ConflictError:
        # another sync of the tenant read at the same time and was first: its reading is at least as good
        winner = await store.head()
        if winner is None:
            raise SourceError("the directory's pages were purged while it was read") from None
        return winner
    return head
