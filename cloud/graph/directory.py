"""One tenant's directory, read by delta.

https://learn.microsoft.com/graph/delta-query-users, https://learn.microsoft.com/graph/delta-query-groups and
https://learn.microsoft.com/graph/api/orgcontact-delta
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from cloud.graph.client import Client
from cloud.graph.errors import Answer, answer_of, error_for
from cloud.graph.retry import Patience
from sync_core import org_contacts
from sync_core.directory import SELECT
from sync_core.errors import DeltaExpiredError, SourceError
from sync_core.model import SourcePage, Spent
from sync_core.ports import Clock, Directory, Found, FoundKind

PAGE = 999
_GROUP = "#microsoft.graph.group"
_PEOPLE = ("displayName", "givenName", "surname", "mail", "userPrincipalName")
_SEARCHED: dict[FoundKind, tuple[str, tuple[str, ...]]] = {
    "people": ("users", _PEOPLE),
    "groups": ("groups", ("displayName", "mail")),
    "shared_mailboxes": ("users", _PEOPLE),
}


class GraphDirectory(Directory):
    """The directory over Microsoft Graph. Pages are passed on as they come; none is kept."""

    def __init__(self, tenant: str, client: Client, clock: Clock) -> None:
        self.spent = Spent()
        self._tenant = tenant
        self._client = client
        self._clock = clock

    async def users(self, delta_link: str | None) -> AsyncIterator[SourcePage]:
        """All users (no link), or what changed since. The last page carries the next link."""
        async for page in self._delta(f"users/delta?$select={','.join(SELECT)}", delta_link):
            yield page

    async def org_contacts(self, delta_link: str | None) -> AsyncIterator[SourcePage]:
        """All organisation contacts (no link), or what changed since."""
        async for page in self._delta(f"contacts/delta?$select={','.join(org_contacts.SELECT)}", delta_link):
            yield page

    async def group_members(self, groups: Sequence[str], delta_link: str | None) -> AsyncIterator[SourcePage]:
        """Groups with their direct members in "members@delta", or what changed since."""
        condition = quote(" or ".join(f"id eq '{group}'" for group in groups), safe="'")
        async for page in self._delta(f"groups/delta?$select=members&$filter={condition}", delta_link):
            yield page

    async def nested_groups(self, group: str) -> list[str]:
        """The ids of all groups inside a group.

        All members are read: a cast to groups is refused for a Microsoft 365 group, and else answered from an index that lags
        behind (https://learn.microsoft.com/graph/api/group-list-transitivemembers).
        """
        url: str | None = f"{self._client.base_url}/groups/{quote(group)}/transitiveMembers?$select=id&$top={PAGE}"
        found: list[str] = []
        while url:
            page = await self._page(url)
            found += [raw["id"] for raw in page["value"] if raw.get("@odata.type") == _GROUP]
            following: str | None = page.get("@odata.nextLink")
            if following is not None and (not self._client.owns(following) or following == url):
                raise SourceError("a page links to where it should not")
            url = following
        return found

    async def search(self, kind: FoundKind, start: str, most: int) -> list[Found]:
        """Objects whose names or addresses start like this, in the order in which Graph finds them.

        Shared mailboxes are accounts in which nobody can sign in. `startsWith` on these properties takes no ConsistencyLevel:
        https://learn.microsoft.com/graph/aad-advanced-queries.
        """
        collection, names = _SEARCHED[kind]
        literal = start.replace("'", "''")
        condition = " or ".join(f"startswith({name},'{literal}')" for name in names)
        if kind == "shared_mailboxes":
            condition = f"accountEnabled eq false and ({condition})"
        query = f"$select=id,displayName,mail&$top={most}&$filter={quote(condition, safe='')}"
        page = await self._page(f"{self._client.base_url}/{collection}?{query}")
        return [Found(raw["id"], raw.get("displayName") or "", raw.get("mail") or "") for raw in page["value"]]

    async def _delta(self, query: str, delta_link: str | None) -> AsyncIterator[SourcePage]:
        if delta_link is not None and not self._client.owns(delta_link):
            raise DeltaExpiredError("the delta link belongs to another service")
        url: str | None = delta_link or f"{self._client.base_url}/{query}"
        while url:
            page = await self._page(url)
            following: str | None = page.get("@odata.nextLink")
            link: str | None = page.get("@odata.deltaLink")
            if (following is None) == (link is None):
                raise SourceError("a page needs one link: to the next page or for the next time")
            if not self._client.owns(following or link or "") or following == url:
                raise SourceError("a page links to where it should not")
            yield _source_page(page, link)
            url = following

    async def _page(self, url: str) -> dict[str, Any]:
        answer = await self._get(url)
        if not isinstance(answer.body, dict) or not isinstance(answer.body.get("value"), list):
            raise SourceError("a page is not what Graph promises")
        return answer.body

    async def _get(self, url: str) -> Answer:
        patience = Patience(self._tenant, self._clock)
        while True:
            result: Answer | Exception
            try:
                result = answer_of(await self._client.call(self._tenant, "GET", url, spent=self.spent))
            except httpx.HTTPError as error:
                result = error
            else:
                self.spent.throttled += result.throttled
                if result.ok:
                    return result
            # the client has already asked for a new token
            refused = isinstance(result, Answer) and result.status == 401
            if refused or not patience.is_worth(result, repeatable=True):
                raise error_for(result, source=True)
            await self._clock.sleep(patience.wait([result]))


def _source_page(page: dict[str, Any], delta_link: str | None) -> SourcePage:
    changed: list[dict[str, Any]] = []
    removed: list[str] = []
    for raw in page["value"]:
        if not isinstance(raw, dict) or not isinstance(raw.get("id"), str):
            raise SourceError("an object of a page has no id")
        if "@removed" in raw:
            removed.append(raw["id"])
        else:
            changed.append(raw)
    return SourcePage(changed, removed, delta_link)
