"""Previews over HTTP: what a run would do. Answers hold what contacts hold; they are for the caller and kept nowhere."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any
from uuid import UUID

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from api.answers_old import answer, explained, json_body
from composition import context
from sync_core.definition import SyncDefinition, parse
from sync_core.engine.preview import MOST_MAILBOXES, UNSAVED, MailboxPreview, Page, Preview, preview
from sync_core.state.syncs import Sync, load_sync

blueprint = func.Blueprint()  # type: ignore[no-untyped-call] # the package does not annotate it


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Place(_Strict):
    """Where a page begins: the `next` of the one before."""

    mailbox: UUID
    operation: int = Field(default=0, ge=0)


class Look(_Strict):
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


@blueprint.route("tenants/{tenant}/syncs/{sync}/preview", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def preview_sync(req: func.HttpRequest) -> func.HttpResponse:
    """What a run of the sync would do now, as it is saved or with another definition."""
    look = parse(OfSaved, json_body(req))
    sync = await load_sync(context().tables, req.route_params["tenant"], req.route_params["sync"])
    if look.definition is not None:
        sync = replace(sync, definition=look.definition)
    return answer(_shown(await preview(context(), sync, _page(look))))


@blueprint.route("tenants/{tenant}/preview", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def preview_definition(req: func.HttpRequest) -> func.HttpResponse:
    """What the first run of a sync with this definition would do."""
    look = parse(OfUnsaved, json_body(req))
    sync = Sync(req.route_params["tenant"], UNSAVED, look.definition)
    return answer(_shown(await preview(context(), sync, _page(look))))


def _page(look: Look) -> Page:
    named = [str(mailbox) for mailbox in look.mailboxes]
    page = Page(named, MOST_MAILBOXES if named else look.first)
    return page if look.start is None else replace(page, start=str(look.start.mailbox), skip=look.start.operation)


def _shown(preview: Preview) -> dict[str, Any]:
    return {
        "people": preview.people,
        "targets": preview.targets,
        "holds": [asdict(hold) for hold in preview.holds],
        "would": preview.difference.counts() if preview.difference is not None else None,
        "removed": [{"key": key, "name": name} for key, name in preview.removed],
        "selection": [{"path": path, "words": words, "letsIn": lets_in} for path, words, lets_in in preview.lines],
        "mailboxes": [_mailbox(mailbox) for mailbox in preview.mailboxes],
        "next": {"mailbox": preview.next[0], "operation": preview.next[1]} if preview.next is not None else None,
        "graph": asdict(preview.spent),
    }


def _mailbox(mailbox: MailboxPreview) -> dict[str, Any]:
    return {
        "mailbox": mailbox.mailbox,
        "outcome": mailbox.outcome,
        "reason": mailbox.reason or None,
        "detail": mailbox.detail or None,
        "folder": mailbox.folder or None,
        "folderIsNew": mailbox.folder_is_new,
        "counts": {name: getattr(mailbox, name) for name in ("created", "updated", "deleted", "unchanged", "doubles", "copies")},
        "operations": [asdict(change) for change in mailbox.changes],
    }
