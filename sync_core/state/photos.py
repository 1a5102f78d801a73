"""What is known of people's photos, and the photos: a cache, shared by a tenant's syncs that want them in the same size.

Pages say what is known of each person; every photo has a row of its own. A photo is written before the page that names it, and
its row sorts behind all pages: whatever a purge leaves, no page names a photo that is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from sync_core import buckets
from sync_core.errors import LostPagesError
from sync_core.photos import Known
from sync_core.ports import Insert, Replace, Tables, TenantKeys
from sync_core.state import pages
from sync_core.state.names import SOURCES, partition

PHOTOS = "photos-"
"""How the ids begin under which photos lie among the sources."""

PAGES = 64
"""So that a page of the largest tenants is still small; of the smallest, only those with something in them are stored."""


@dataclass(slots=True)
class PhotoPage:
    """What is known of some people, by user id."""

    number: int
    known: dict[str, Known] = field(default_factory=dict)
    etag: str = ""


class PhotoStore:
    """The photos of one tenant in one size."""

    def __init__(self, tables: Tables, keys: TenantKeys, tenant: str, side: int) -> None:
        self._tables = tables
        self._keys = keys
        self._partition = partition(tenant, f"{PHOTOS}{side}")

    async def pages(self) -> list[PhotoPage]:
        """All pages in order. One that does not open counts as empty."""
        found = [PhotoPage(number) for number in range(PAGES)]
        async for entity in self._tables.query(SOURCES, self._partition, start="i:", end="i;"):
            page = found[int(entity.row[2:])]
            page.etag = entity.etag
            try:
                page.known = _decode(pages.open_values(self._keys.sealer, SOURCES, entity))
            except LostPagesError:
                continue
        return found

    async def write_page(self, page: PhotoPage) -> None:
        """Store a changed page. Raises ConflictError when another reader was first."""
        row = f"i:{page.number:05d}"
        oldest = min((known.read_at for known in page.known.values()), default=None)
        if oldest is None:
            await pages.remove_pages(self._tables, SOURCES, self._partition, [row])
            page.etag = ""
            return
        values = pages.sealed_values(self._keys.sealer, SOURCES, self._partition, row, _encode(page.known), read_at=oldest)
        write = Replace(row, values, page.etag) if page.etag else Insert(row, values)
        (page.etag,) = await self._tables.commit(SOURCES, self._partition, [write])

    async def put(self, photos: Mapping[str, bytes], read_at: datetime) -> None:
        """Store photos by `place`."""
        rows = {_row(place): jpeg for place, jpeg in photos.items()}
        await pages.write_pages(self._tables, self._keys.sealer, SOURCES, self._partition, rows, read_at=read_at)

    async def remove(self, places: Collection[str]) -> None:
        """Forget photos that no page names any more."""
        await pages.remove_pages(self._tables, SOURCES, self._partition, map(_row, places))

    async def of(self, user: str) -> list[bytes]:
        """Every photo that is kept of a user."""
        start = _row(f"{user}:")
        rows = self._tables.query(SOURCES, self._partition, start=start, end=start + "~", select=())
        found = [await self.photo(entity.row.removeprefix(_row(""))) async for entity in rows]
        return [photo for photo in found if photo is not None]

    async def forget(self, users: Collection[str]) -> int:
        """Forget these users and their photos; returns how many photos. Raises ConflictError when a run reads meanwhile."""
        for page in await self.pages():
            known = {user: entry for user, entry in page.known.items() if user not in users}
            if known != page.known:
                page.known = known
                await self.write_page(page)
        gone = 0
        for user in users:
            start = _row(f"{user}:")
            rows = self._tables.query(SOURCES, self._partition, start=start, end=start + "~", select=())
            theirs = [entity.row async for entity in rows]
            await pages.remove_pages(self._tables, SOURCES, self._partition, theirs)
            gone += len(theirs)
        return gone

    async def photo(self, place: str) -> bytes | None:
        """One photo; None when it is gone."""
        try:
            return await pages.read_page(self._tables, self._keys.sealer, SOURCES, self._partition, _row(place))
        except LostPagesError:
            return None


def _row(place: str) -> str:
    return f"photo:{place}"


def page_of(user: str) -> int:
    """The page that tells of a user."""
    return buckets.bucket_of(user, PAGES)


def place(user: str, name: str) -> str:
    """Where a user's photo of that name is kept."""
    return f"{user}:{name}"


def _encode(known: Mapping[str, Known]) -> bytes:
    return orjson.dumps(
        {
            user: (entry.version, entry.name, int(entry.looked_at.timestamp()), int(entry.read_at.timestamp()))
            for user, entry in known.items()
        }
    )


def _decode(plain: bytes) -> dict[str, Known]:
    return {
        user: Known(version, name, datetime.fromtimestamp(looked_at, UTC), datetime.fromtimestamp(read_at, UTC))
        for user, (version, name, looked_at, read_at) in orjson.loads(plain).items()
    }
