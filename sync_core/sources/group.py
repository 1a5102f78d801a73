"""The members of a group, those of nested and dynamic groups included.

A delta covers direct members only, so every group inside the group is watched as well. What is stored is the graph: a node
for each group, and an edge "group/member" for each membership. People's attributes come from the directory's users: who is a
member and no live user (a delta says nothing of members whose account was deleted softly) is nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from typing import Any

import orjson

from sync_core.contacts import key_of, user_key
from sync_core.errors import SourceError
from sync_core.model import Portrait, SourcePage
from sync_core.photos import user_portrait
from sync_core.sources.base import Heads, Person, Reading, Source
from sync_core.sources.delta import bring_up_to_date
from sync_core.sources.directory import DirectoryUsers
from sync_core.state.sources import SourceHead

GROUPS_PER_QUERY = 50
"""Graph takes no more ids in a delta's filter: https://learn.microsoft.com/graph/api/group-delta."""

_USER, _INNER = "", "group"
_NODE, _GROUP = {"kind": "node"}, {"kind": _INNER}
_KINDS: dict[str, dict[str, str]] = {
    "#microsoft.graph.user": {},
    "#microsoft.graph.group": _GROUP,
    "#microsoft.graph.orgContact": {"kind": "contact"},
}
_ASKED = ",".join(_KINDS)
"""What is kept of the answer. Whoever kept fewer kinds of members must read the group in full."""


class GroupMembers(Source):
    """The users in one group. Its organisation contacts count where it is named to leave people out."""

    def __init__(self, reading: Reading, group: str) -> None:
        self.id = f"group-{group}"
        self._group = group
        self._reading = reading
        self._directory = DirectoryUsers(reading)
        self._groups_joined = False

    async def refresh(self) -> SourceHead:
        """Bring what we know of the memberships up to date."""
        head = await self._refresh(in_full=False)
        if self._groups_joined:
            nodes, edges = await self._graph(head)
            if not set(_reachable(self._group, nodes, edges)) <= nodes:
                # a group came into ours that is not watched yet
                head = await self._refresh(in_full=True)
        return head

    def portrait(self, key: str, told: str) -> Portrait | None:  # noqa: ARG002 - nothing tells of users' photos
        """The photo of a user."""
        return user_portrait(key)

    async def people(self, heads: Heads) -> AsyncIterator[Person]:
        """The users who are members at any depth."""
        members = await self.members(heads)
        async for user in self._directory.users(heads):
            key = key_of(user)
            if key in members:
                yield key, user

    @property
    def stored_as(self) -> str:
        """Attributes come from the directory's users."""
        return self._directory.id

    async def members(self, heads: Heads) -> Collection[str]:
        """The keys of the users who are members at any depth, live or not."""
        return {user_key(member) for member, kind in await self._members(heads) if kind == _USER}

    async def ids(self, heads: Heads) -> set[str]:
        """The object ids of the users and organisation contacts who are members at any depth, live or not."""
        return {member for member, kind in await self._members(heads) if kind != _INNER}

    async def _members(self, heads: Heads) -> Iterable[tuple[str, str]]:
        nodes, edges = await self._graph(heads[self.id])
        groups = [group for group in _reachable(self._group, nodes, edges) if group in nodes]
        return (edge for group in groups for edge in edges.get(group, {}).items())

    async def _refresh(self, *, in_full: bool) -> SourceHead:
        return await bring_up_to_date(self._reading, self.id, self._pages, _merge, asked=_ASKED, in_full=in_full)

    async def _graph(self, head: SourceHead) -> tuple[set[str], dict[str, dict[str, str]]]:
        """The live groups that are watched, and the members of each with their kind."""
        nodes: set[str] = set()
        edges: dict[str, dict[str, str]] = {}
        async for key, value in self._reading.store(self.id).objects(head):
            group, _, member = key.partition("/")
            if member:
                edges.setdefault(group, {})[member] = value.get("kind", "")
            else:
                nodes.add(group)
        return nodes, edges

    async def _pages(self, link: str | None) -> AsyncIterator[SourcePage]:
        directory = self._reading.graph.directory(self._reading.tenant)
        self._groups_joined = False
        exists = link is not None
        following: list[tuple[list[str], str | None]] = []
        try:
            chains = (
                orjson.loads(link) if link is not None else _chains([self._group, *await directory.nested_groups(self._group)])
            )
            for groups, start in chains:
                end = None
                async for page in directory.group_members(groups, start):
                    if self._group in page.removed:
                        exists = False
                    exists = exists or any(raw["id"].lower() == self._group for raw in page.changed)
                    yield self._memberships(page, is_news=link is not None)
                    end = page.delta_link
                following.append((groups, end))
        finally:
            self._reading.spent.add(directory.spent)
        if not exists:
            raise SourceError("the group does not exist")
        yield SourcePage([], [], orjson.dumps(following).decode())

    def _memberships(self, page: SourcePage, *, is_news: bool) -> SourcePage:
        told: dict[str, dict[str, str] | None] = {}  # by node or edge, the last one wins; None: gone
        for raw in page.changed:
            group = raw["id"].lower()
            told[group] = _NODE
            for member in raw.get("members@delta") or ():
                kind = _KINDS.get(member.get("@odata.type", ""))
                if kind is not None:
                    told[f"{group}/{member['id'].lower()}"] = None if "@removed" in member else kind
                    self._groups_joined |= is_news and kind is _GROUP
        told |= {group.lower(): None for group in page.removed}
        changed = [{"id": key, **value} for key, value in told.items() if value is not None]
        return SourcePage(changed, [key for key, value in told.items() if value is None], None)


def _merge(_previous: Mapping[str, Any] | None, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": raw["kind"]} if "kind" in raw else {}


def _chains(groups: list[str]) -> Iterator[tuple[list[str], str | None]]:
    known = list(dict.fromkeys(group.lower() for group in groups))
    return ((known[start : start + GROUPS_PER_QUERY], None) for start in range(0, len(known), GROUPS_PER_QUERY))


def _reachable(group: str, nodes: set[str], edges: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The group and all groups inside it; of those that are not live nobody knows what is inside them."""
    found = {group: None}
    waiting = [group]
    while waiting:
        inside = edges.get(waiting.pop(), {})
        for member, kind in inside.items():
            if kind == _INNER and member not in found:
                found[member] = None
                if member in nodes:
                    waiting.append(member)
    return list(found)
