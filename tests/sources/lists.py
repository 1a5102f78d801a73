"""A world whose tenant has groups, organisation contacts and shared mailboxes, and one mailbox to look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sync_core import marks
from sync_core.model import RunState
from sync_core.state.runs import Run
from tests.engine.world import SYNC, World

BRAKES = {"percent": 20, "at_least": 3}


class Lists(World):
    """One reader, whose mailbox is the only target, besides whoever is hired."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = self.hire("Reader One")
        self.definition: dict[str, Any] = {}

    async def set_up(self, *sources: dict[str, Any], **values: Any) -> None:
        """Connect, and define a sync from these sources into the reader's mailbox."""
        self.definition = {"sources": sources, "targets": {"include": [self.reader]}, "brakes": BRAKES, **values}
        await self.connect(self.definition)

    async def redefine(self, **values: Any) -> None:
        """Change the sync's definition."""
        self.definition |= values
        await self.define(self.definition)

    def group(self, name: str, members: Sequence[str] = ()) -> str:
        """A new group; returns its id."""
        key = str(uuid5(NAMESPACE_OID, name))
        self.tenant.directory.groups.add({"id": key, "displayName": name})
        self.tenant.directory.join(key, members)
        return key

    def org_contact(self, name: str, **values: Any) -> str:
        """A new organisation contact; returns its id."""
        key = str(uuid5(NAMESPACE_OID, name))
        mail = f"{name.lower().replace(' ', '.')}@partner.example"
        self.tenant.directory.org_contacts.add({"id": key, "displayName": name, "mail": mail, **values})
        return key

    def shared_mailbox(self, name: str) -> str:
        """A mailbox without a licence; returns its id."""
        upn = f"{name.lower().replace(' ', '-')}@example.com"
        values = {"displayName": name, "mail": upn, "userPrincipalName": upn, "accountEnabled": False, "assignedPlans": []}
        return self.tenant.add_user(values, "ok")

    def keep(self, mailbox: str, folder: str, name: str, **values: Any) -> Any:
        """Somebody keeps a contact in a folder, which is made if it is not there."""
        box = self.tenant.mailbox(mailbox)
        try:
            place = self.tenant.folder(mailbox, folder)
        except KeyError:
            place = box.create_folder(box.contacts, folder)
        email = f"{name.lower().replace(' ', '.')}@friends.example"
        return box.create(place, {"displayName": name, "emailAddresses": [{"address": email, "name": name}], **values})

    async def good(self) -> Run:
        """A run that succeeds."""
        run = await self.run()
        assert run.state is RunState.SUCCEEDED, (run.state, run.reason, run.detail)
        return run

    async def held(self) -> str:
        """A run that holds and changes nothing; returns reason and detail."""
        before = self.contacts()
        run = await self.run()
        assert run.state is RunState.HELD
        assert self.contacts() == before
        return f"{run.reason} {run.detail}"

    async def spent(self) -> int:
        """What a run asks of Graph in which there is nothing to do: requests, as the server counts them."""
        before = self.cloud.counters.requests
        run = await self.good()
        assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
        assert run.spent.requests == self.cloud.counters.requests - before
        return run.spent.requests

    def pass_days(self, days: float) -> None:
        """Time goes by."""
        self.clock.advance(timedelta(days=days))

    def contacts(self) -> list[Any]:
        """All that the reader's folder holds, as it stands there."""
        try:
            return [(item.uid, item.values) for item in self.tenant.contacts(self.reader, "Colleagues")]
        except KeyError:
            return []

    def listed(self) -> list[str]:
        """The names in the reader's folder."""
        return self.names(self.reader)

    def values(self, name: str) -> dict[str, Any]:
        """One contact in the reader's folder."""
        (found,) = (item for item in self.tenant.contacts(self.reader, "Colleagues") if item.values["displayName"] == name)
        return dict(found.values)

    def uid(self, name: str) -> int:
        """Which item a contact is."""
        (found,) = (item for item in self.tenant.contacts(self.reader, "Colleagues") if item.values["displayName"] == name)
        return int(found.uid)

    def key(self, name: str) -> str:
        """The key in a contact's mark."""
        (found,) = (item for item in self.tenant.contacts(self.reader, "Colleagues") if item.values["displayName"] == name)
        return marks.key_in(found.extended[marks.KEY_PROPERTY], "installation-one", SYNC) or ""
