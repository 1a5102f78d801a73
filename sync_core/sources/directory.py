"""The users of the directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sync_core.contacts import key_of
from sync_core.directory import SELECT, merge
from sync_core.model import Portrait, SourcePage
from sync_core.photos import user_portrait
from sync_core.sources.base import Heads, Person, Reading, Source
from sync_core.sources.delta import bring_up_to_date
from sync_core.state.sources import USERS, SourceHead


class DirectoryUsers(Source):
    """All users, whether or not they are people: guests, rooms and disabled accounts too."""

    def __init__(self, reading: Reading) -> None:
        self.id = USERS
        self._reading = reading

    async def refresh(self) -> SourceHead:
        """Bring what we know of the users up to date."""
        return await bring_up_to_date(self._reading, self.id, self._pages, merge, asked=",".join(SELECT))

    def portrait(self, key: str, told: str) -> Portrait | None:  # noqa: ARG002 - nothing tells of users' photos
        """The photo of a user."""
        return user_portrait(key)

    async def people(self, heads: Heads) -> AsyncIterator[Person]:
        """Every user."""
        async for user in self.users(heads):
            yield key_of(user), user

    async def users(self, heads: Heads) -> AsyncIterator[dict[str, Any]]:
        """Every user, without a key."""
        async for _, user in self._reading.store(self.id).objects(heads[self.id]):
            yield user

    async def _pages(self, link: str | None) -> AsyncIterator[SourcePage]:
        directory = self._reading.graph.directory(self._reading.tenant)
        try:
            async for page in directory.users(link):
                yield page
        finally:
            self._reading.spent.add(directory.spent)
