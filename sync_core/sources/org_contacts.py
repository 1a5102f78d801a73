"""The organisation contacts of the directory."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sync_core.model import SourcePage
from sync_core.org_contacts import SELECT, merge
from sync_core.sources.base import Heads, Person, Reading, Source
from sync_core.sources.delta import bring_up_to_date
from sync_core.state.sources import ORG_CONTACTS, SourceHead


class OrgContacts(Source):
    """All organisation contacts."""

    def __init__(self, reading: Reading) -> None:
        self.id = ORG_CONTACTS
        self._reading = reading

    async def refresh(self) -> SourceHead:
        """Bring what we know of the contacts up to date."""
        return await bring_up_to_date(self._reading, self.id, self._pages, merge, asked=",".join(SELECT))

    async def people(self, heads: Heads) -> AsyncIterator[Person]:
        """Every organisation contact, by "o:" and the object id."""
        async for _, contact in self._reading.store(self.id).objects(heads[self.id]):
            yield f"o:{contact['id'].lower()}", contact

    async def _pages(self, link: str | None) -> AsyncIterator[SourcePage]:
        directory = self._reading.graph.directory(self._reading.tenant)
        try:
            async for page in directory.org_contacts(link):
                yield page
        finally:
            self._reading.spent.add(directory.spent)
