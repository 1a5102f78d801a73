"""What there is to choose from when somebody defines a sync: people, groups, shared mailboxes, their folders and calendars.

Names are asked for in the body: they do not belong in addresses, which end up in logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from api.endpoint import ADMINS, Call, Endpoints, Listed, Strict
from sync_core.model import Folder
from sync_core.ports import FoundKind

endpoints = Endpoints("Lookups")

MOST_FOUND = 25


class Search(Strict):
    """What names or addresses start with."""

    kind: FoundKind
    starts_with: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    most: int = Field(default=10, ge=1, le=MOST_FOUND)


class FoundShown(Strict):
    """Something to choose, by its object id."""

    id: str
    name: str
    mail: str | None


class MailboxPath(Strict):
    """A mailbox, by the object id of its account."""

    mailbox: UUID


class PlaceShown(Strict):
    """A contact folder or a calendar."""

    id: str
    name: str


@endpoints.post("directory/search", roles=ADMINS, reads=True)
async def search_directory(call: Call, body: Search) -> Listed[FoundShown]:
    """People, groups or shared mailboxes whose names or addresses start with a text."""
    found = await call.context.graph.directory(call.tenant).search(body.kind, body.starts_with, body.most)
    return Listed(items=[FoundShown(id=one.id, name=one.name, mail=one.mail or None) for one in found])


@endpoints.get("directory/mailboxes/{mailbox}/folders", roles=ADMINS)
async def list_folders(call: Call, path: MailboxPath) -> Listed[PlaceShown]:
    """The contact folders of a mailbox that a source can name; those that we wrote are none."""
    mailboxes = call.context.graph.mailboxes(call.tenant)
    with mailboxes.sharing():
        return _listed(await mailboxes.folders(str(path.mailbox)))


@endpoints.get("directory/mailboxes/{mailbox}/calendars", roles=ADMINS)
async def list_calendars(call: Call, path: MailboxPath) -> Listed[PlaceShown]:
    """The calendars of a mailbox that a source can name; those that we wrote are none."""
    calendars = call.context.graph.calendars(call.tenant)
    with calendars.sharing():
        return _listed(await calendars.folders(str(path.mailbox)))


def _listed(folders: Sequence[Folder]) -> Listed[PlaceShown]:
    return Listed(items=[PlaceShown(id=folder.folder_id, name=folder.name) for folder in folders if not folder.mark])
