"""The world of a history: what it starts with, and what its people and syncs are at this moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from hypothesis.stateful import RuleBasedStateMachine

from sync_core.engine import runs
from tests.engine import oracle
from tests.engine.hazards import Hazards, KilledError, Site
from tests.engine.phones import Phones
from tests.engine.world import NIGHTLY, TENANT

SECOND = "second"
FOLDER = "Colleagues"
MOST_PEOPLE = 6
DIRECTORY = {"kind": "directory"}

OUTER, INNER = str(uuid5(NAMESPACE_OID, "outer")), str(uuid5(NAMESPACE_OID, "inner"))
_GROUP = {"kind": "group", "id": OUTER}
_PARTNERS = {"kind": "orgContacts"}
_UNWANTED = ["Department 1", "Department 2", "Department 3"]

CHOICES: dict[str, list[dict[str, Any]]] = {
    "sources": [
        {"sources": [DIRECTORY]},
        {"sources": [_GROUP]},
        {"sources": [DIRECTORY, _PARTNERS]},
        {"sources": [_PARTNERS, DIRECTORY]},
        {"sources": [_PARTNERS, _GROUP]},
    ],
    "selection": [
        {"selection": {}},
        {"selection": {"rule": {"not": {"attribute": "department", "operator": "is", "values": _UNWANTED}}}},
    ],
    "edits": [{"on_user_edit": "overwrite"}, {"on_user_edit": "keep"}],
    "deletions": [{"on_user_delete": "restore"}, {"on_user_delete": "respect"}],
    "name": [{"folder": FOLDER}, {"folder": "People"}],
}
"""What may stand in a definition. The oracle reads the same values."""


class History(RuleBasedStateMachine):
    """State, and how to act in it. `blind` says that something happened which only a close look shows."""

    hazards: Hazards
    sites: list[Site]
    world: Site
    phones: Phones
    syncs: list[tuple[Site, str]]
    traits: dict[str, dict[str, Any]]  # what the definitions of a sync begin with

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_note)
        self.broken = True  # until it is set up
        self.bugs = _Bugs()
        self.hired = 0
        self.blind = False
        self.definitions: dict[tuple[str, str], dict[str, Any]] = {}
        self.deleting: dict[tuple[str, str], dict[str, Any]] = {}  # with the last definition
        logging.getLogger("rollcall.chunk").addHandler(self.bugs)

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out something asynchronous."""
        try:
            self.loop.run_until_complete(work)
        except BaseException:
            self.broken = True
            raise

    def prepare(self, *, permanent: bool, second_site: bool) -> None:
        """A tenant with two groups, one inside the other, and one or two installations that serve it."""
        self.hazards = Hazards()
        self.sites = [Site(self.hazards, permanent_delete=permanent)]
        self.world = self.sites[0]
        if second_site:
            self.sites.append(Site(self.hazards, beside=self.world, installation="installation-two"))
        self.cloud, self.tenant, self.clock = self.world.cloud, self.world.tenant, self.world.clock
        self.phones = Phones(self.tenant)
        self.leeway = oracle.Leeway()
        for group, name in ((OUTER, "Outer"), (INNER, "Inner")):
            self.tenant.directory.groups.add({"id": group, "displayName": name})
        self.tenant.directory.join(OUTER, [INNER])

    async def connect(self, *, calm: bool) -> None:
        """Define all syncs, and when it is `calm` let their first runs end."""
        for site, sync in self.syncs:
            await site.connect(self.definition(sync), sync=sync)
            self.definitions[site.installation, sync] = self.definition(sync)
            await runs.request_run(site.context, TENANT, sync)
        if calm:
            await self.drain()

    def definition(self, sync: str, **values: Any) -> dict[str, Any]:
        """A definition of a sync as it begins, with some values changed."""
        return {"name": "People", "folder": FOLDER, "schedule": NIGHTLY, **self.traits[sync], **values}

    def sync(self, which: int) -> tuple[Site, str]:
        """One of the syncs, whether it is deleted or not."""
        return self.syncs[which % len(self.syncs)]

    def user(self, who: int) -> str | None:
        """Somebody with a mailbox."""
        users = [user for user in self.tenant.directory.users.objects if user in self.tenant.mailboxes]
        return users[who % len(users)] if users else None

    def serving(self, user: str, installation: str, sync: str) -> dict[str, Any] | None:
        """The definition of a sync that has this user among its targets; None when it has not."""
        definition = self.definitions.get((installation, sync))
        return definition if definition is not None and user in oracle.targets(self.tenant, definition) else None

    def sharing(self, user: str, installation: str, sync: str) -> list[str]:
        """The other syncs of this installation that write into a folder of the same name."""
        mine = self.serving(user, installation, sync)
        others = [(other, self.serving(user, where, other)) for where, other in self.definitions if where == installation]
        return [other for other, theirs in others if other != sync and mine and theirs and mine["folder"] == theirs["folder"]]

    async def drain(self) -> None:
        """Deliver everything."""
        for site in self.sites:
            await site.drain()

    async def tick(self, *, minutes: float) -> None:
        """Let time pass and what comes due be done."""
        await self.drain()
        self.clock.advance(timedelta(minutes=minutes))
        for site in self.sites:
            await site.tick()
        await self.drain()

    def end(self) -> None:
        """Leave nothing behind."""
        logging.getLogger("rollcall.chunk").removeHandler(self.bugs)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(_rest())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class _Bugs(logging.Handler):
    """What the engine itself calls a bug of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tasks of killed processes end without anybody to ask why."""
    error = context.get("exception")
    if error is not None and not isinstance(error, KilledError):
        loop.default_exception_handler(context)


async def _rest() -> None:
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()), return_exceptions=True)
