"""People who were handed to us: an uploaded file, or items that another system pushes.

Nobody else keeps them for us, yet they obey the same rule as what is read from Microsoft: sixty days after the whole of them came
in they expire. A later change of a part does not renew them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

import orjson

from sync_core import buckets
from sync_core.errors import InputError, SourceError, StaleError
from sync_core.sources.base import Heads, Person, Reading, Source
from sync_core.state.sources import SourceHead, SourceStore

KEPT_FOR = timedelta(days=58)
"""Sixty days, less the two that the daily purge may come late."""

ASKED = "kept"


class KeptPeople(Source):
    """The people of an upload or a push source, by the keys under which they are stored."""

    def __init__(self, reading: Reading, source: str) -> None:
        self.id = source
        self._reading = reading

    async def refresh(self) -> SourceHead:
        """What is there now. Raises SourceError when there is nothing (any more)."""
        head = await self._reading.store(self.id).head()
        if head is None:
            raise SourceError("there is nothing: it was never filled, was purged, or has expired")
        if self._reading.clock.now() - head.full_at >= KEPT_FOR:
            raise SourceError("has expired: send it again")
        return head

    async def people(self, heads: Heads) -> AsyncIterator[Person]:
        """Everybody in it."""
        async for person in self._reading.store(self.id).objects(heads[self.id]):
            yield person


async def replace_all(store: SourceStore, people: Mapping[str, bytes], now: datetime, *, version: str = "") -> SourceHead:
    """Put these people (key -> JSON in the normal form) in the place of all that were there.

    Raises ConflictError, with nothing changed, when somebody else changed the source at the same time, and StaleError when what
    was there is not at `version` ("": any) any more.
    """
    known = await store.head()
    if version and (known is None or known.digest != version):
        raise StaleError("it was changed meanwhile")
    if known is None:
        await store.discard_head()
    count = buckets.bucket_count(len(people), len(known.pages) if known else None)
    refs = await store.write_all(token_hex(8), people, count, read_at=now)
    head = SourceHead(refs, len(people), now, asked=ASKED)
    await store.flip(head, known.etag if known else "")
    return head


async def change_one(store: SourceStore, key: str, person: Mapping[str, Any] | None, now: datetime) -> None:
    """Put one person, or with None take one away. What is put into an empty source fills it.

    Raises InputError for a source that has expired, and ConflictError, with nothing changed, when somebody else changed it at the
    same time.
    """
    known = await store.head()
    if known is None:
        if person is not None:
            await replace_all(store, {key: orjson.dumps(person)}, now)
        return
    if now - known.full_at >= KEPT_FOR:
        raise InputError("source", "has expired: replace all of it")
    number = buckets.bucket_of(key, len(known.pages))
    content = await store.page(known, number)
    before = len(content)
    if person is None:
        content.pop(key, None)
    else:
        content[key] = dict(person)
    pages = list(known.pages)
    pages[number] = await store.write_page(token_hex(8), number, content, read_at=known.full_at)
    await store.flip(replace(known, pages=tuple(pages), count=known.count + len(content) - before), known.etag)
