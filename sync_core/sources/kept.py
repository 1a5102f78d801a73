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
from sync_core.errors import ConflictError, InputError, SourceError, StaleError
from sync_core.model import Portrait
from sync_core.photos import PHOTO
from sync_core.sources.base import Heads, Person, Reading, Source
from sync_core.sources.handed_photos import Darkroom, places
from sync_core.state.sources import SourceHead, SourceStore

KEPT_FOR = timedelta(days=58)
"""Sixty days, less the two that the daily purge may come late."""

ASKED = "kept"

_TRIES = 8


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

    def portrait(self, key: str, told: str) -> Portrait:
        """A photo that lies beside the source's pages, by the name of its content."""
        return Portrait(key, source=self.id, name=told)


async def replace_all(
    store: SourceStore, people: Mapping[str, bytes], now: datetime, *, darkroom: Darkroom | None = None, version: str = ""
) -> SourceHead:
    """Put these people (key -> JSON in the normal form), with their photos, in the place of all that were there.

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
    if darkroom is not None and darkroom.made:
        photos: dict[str, bytes] = {}
        async for key, person in store.objects(head):  # of those who were erased there is nothing in it
            photos |= darkroom.of(key, person.get(PHOTO, ""))
        await store.photos.put(photos, now)
    await store.flip(head, known.etag if known else "")
    await _tidy(store)
    return head


async def change_one(
    store: SourceStore, key: str, person: Mapping[str, Any] | None, now: datetime, *, darkroom: Darkroom | None = None
) -> None:
    """Put one person, or with None take one away. What is put into an empty source fills it.

    Raises InputError for a source that has expired, and ConflictError, with nothing changed, when somebody else changed it at the
    same time.
    """
    known = await store.head()
    if known is None:
        if person is not None:
            await replace_all(store, {key: orjson.dumps(person)}, now, darkroom=darkroom)
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
    head = replace(known, pages=tuple(pages), count=known.count + len(content) - before)
    if darkroom is not None and key in await store.page(head, number):  # not where the person was erased
        await store.photos.put(darkroom.of(key, content[key].get(PHOTO, "")), known.full_at)
    await store.flip(head, known.etag)
    await _tidy(store, key)


async def _tidy(store: SourceStore, key: str = "") -> None:
    """Remove the photos, of one person or of all, that nobody has any more. As long as others change the source, it is theirs."""
    for _ in range(_TRIES):
        stored = {place async for place in store.photos.places(key)}
        head = await store.head() if stored else None
        if head is None:
            return
        if key:
            content = await store.page(head, buckets.bucket_of(key, len(head.pages)))
            stored -= set(places(key, content.get(key, {}).get(PHOTO, "")))
        else:
            async for each, person in store.objects(head):
                stored -= set(places(each, person.get(PHOTO, "")))
        try:
            await store.remove_photos(head, stored)
        except ConflictError:
            continue
        return
