"""What a run would do. Answers hold what contacts hold; they are for the caller and kept nowhere."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.endpoint import ADMINS, Call, Endpoints, Strict
from api.runs import SpentShown
from api.syncs import SyncPath
from sync_core.definition import SyncDefinition
from sync_core.engine.preview import MOST_MAILBOXES, UNSAVED, MailboxPreview, Page, Preview, preview
from sync_core.state.syncs import Sync, load_sync

endpoints = Endpoints("Previews")


class Place(Strict):
    """Where a page begins: the `next` of the one before."""

    mailbox: UUID
    operation: int = Field(default=0, ge=0, le=10_000_000)


class Look(Strict):
    """Which mailboxes to look at: those named, or the `first` ones."""

    mailboxes: Annotated[tuple[UUID, ...], Field(max_length=MOST_MAILBOXES)] = ()
    first: int = Field(default=5, ge=1, le=MOST_MAILBOXES)
    start: Place | None = None


class OfSaved(Look):
    """Of a saved sync, as it is or with another definition."""

    definition: SyncDefinition | None = None


class OfUnsaved(Look):
    """Of a sync that is not saved."""

    definition: SyncDefinition


class HoldShown(Strict):
    """Why the run would be held."""

    reason: str
    detail: str


class PersonShown(Strict):
    """Somebody who would go."""

    key: str
    name: str


class LineShown(Strict):
    """A part of the selections in words, and how many people it lets in."""

    path: str
    words: str
    lets_in: int


class ChangeShown(Strict):
    """One operation. Fields before and after: of an update those that change, else those that are not empty."""

    operation: str
    key: str
    before: dict[str, Any]
    after: dict[str, Any]


class MailboxShown(Strict):
    """What would be done in a mailbox. `doubles` and `copies` are superfluous items of ours, to delete or leave to the user."""

    mailbox: str
    outcome: str
    reason: str | None
    detail: str | None
    folder: str | None
    folder_is_new: bool
    counts: dict[str, int]
    operations: list[ChangeShown]


class SameFolderShown(Strict):
    """Another sync with the same folder name: in how many mailboxes they meet, and how many people are in both lists."""

    sync: str
    mailboxes: int
    people: int
    advice: str


class PreviewShown(Strict):
    """What a run would do now. When it would not begin at all, `holds` says why and the rest is empty."""

    people: int
    targets: int
    holds: list[HoldShown]
    would: dict[str, int] | None
    removed: list[PersonShown]
    selection: list[LineShown]
    mailboxes: list[MailboxShown]
    next: Place | None
    same_folder: list[SameFolderShown]
    photos: dict[str, int] | None
    graph: SpentShown


@endpoints.post("syncs/{sync}/preview", roles=ADMINS, audits="sync.previewed")
async def preview_sync(call: Call, path: SyncPath, body: OfSaved) -> PreviewShown:
    """What a run of the sync would do now, as it is saved or with another definition."""
    sync = await load_sync(call.context.tables, call.tenant, path.sync)
    if body.definition is not None:
        sync = replace(sync, definition=body.definition)
    return _shown(await preview(call.context, sync, _page(body)))


@endpoints.post("previews", roles=ADMINS, audits="definition.previewed")
async def preview_definition(call: Call, body: OfUnsaved) -> PreviewShown:
    """What the first run of a sync with this definition would do."""
    sync = Sync(call.tenant, UNSAVED, body.definition)
    return _shown(await preview(call.context, sync, _page(body)))


_COMBINE = "whoever is in both lists appears twice: name the sources of both in one sync, which merges them"


def _page(look: Look) -> Page:
    named = [str(mailbox) for mailbox in look.mailboxes]
    page = Page(named, MOST_MAILBOXES if named else look.first)
    return page if look.start is None else replace(page, start=str(look.start.mailbox), skip=look.start.operation)


def _shown(found: Preview) -> PreviewShown:
    return PreviewShown(
        people=found.people,
        targets=found.targets,
        holds=[HoldShown(**asdict(hold)) for hold in found.holds],
        would=found.difference.counts() if found.difference is not None else None,
        removed=[PersonShown(key=key, name=name) for key, name in found.removed],
        selection=[LineShown(path=path, words=words, lets_in=lets_in) for path, words, lets_in in found.lines],
        mailboxes=[_mailbox(mailbox) for mailbox in found.mailboxes],
        next=Place(mailbox=UUID(found.next[0]), operation=found.next[1]) if found.next is not None else None,
        same_folder=[SameFolderShown(**asdict(other), advice=_COMBINE) for other in found.same_folder],
        photos=dict(found.photos) or None,
        graph=SpentShown(**asdict(found.spent)),
    )


def _mailbox(mailbox: MailboxPreview) -> MailboxShown:
    return MailboxShown(
        mailbox=mailbox.mailbox,
        outcome=mailbox.outcome,
        reason=mailbox.reason or None,
        detail=mailbox.detail or None,
        folder=mailbox.folder or None,
        folder_is_new=mailbox.folder_is_new,
        counts={name: getattr(mailbox, name) for name in ("created", "updated", "deleted", "unchanged", "doubles", "copies")},
        operations=[ChangeShown(**asdict(change)) for change in mailbox.changes],
    )
