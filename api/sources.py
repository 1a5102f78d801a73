"""People handed to us: uploaded files, and items that another system pushes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from api.endpoint import ADMINS, LARGEST_JSON, READERS, Call, Endpoints, Reply, Strict
from api.principal import Role
from api.problems import invalid
from sync_core.definition import SourceName
from sync_core.engine import uploads
from sync_core.engine.uploads import Filled
from sync_core.sources.files.entries import FileError
from sync_core.sources.files.reading import MOST_BYTES
from sync_core.sources.push import LARGEST_PHOTO, MOST_ITEMS, PushedItem, PushedPerson
from sync_core.sources.registry import file_source, push_source

endpoints = Endpoints("Sources")

PUSHERS = frozenset({Role.ADMIN, Role.PUSH})
FILES = ("text/csv", "text/vcard")
LARGEST_REPLACEMENT = 64 * 1024 * 1024
LARGEST_ITEM = LARGEST_PHOTO + LARGEST_JSON

ItemKey = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]


class UploadPath(Strict):
    """A source of kind `file`, by its id."""

    upload: SourceName


class SourcePath(Strict):
    """A source of kind `push`, by its id."""

    source: SourceName


class ItemPath(SourcePath):
    """An item of it, by the id that the pushing system has for it."""

    key: ItemKey


class FilledShown(Strict):
    """What a source holds: how many people, when they came, and when they expire unless they come again."""

    people: int
    received_at: datetime
    expires_at: datetime


class UploadShown(FilledShown):
    """The same, and how many of the people have a photo, and how many one of which none can be made: it was left out."""

    photos: int
    unreadable_photos: int


class _Items:
    """Describes items that are checked one by one, so that all that is wrong can be told."""

    def __get_pydantic_json_schema__(self, _: object, __: object) -> dict[str, Any]:
        return {"type": "array", "maxItems": MOST_ITEMS, "items": PushedItem.model_json_schema()}


class Replacement(Strict):
    """All items of a push source."""

    items: Annotated[
        list[Any],
        Field(max_length=MOST_ITEMS),
        _Items(),
    ]


@endpoints.put("uploads/{upload}", roles=ADMINS, audits="upload.replaced", accepts=FILES, largest=MOST_BYTES)
async def put_upload(call: Call, path: UploadPath, body: bytes) -> Reply[UploadShown]:
    """Put the people of a CSV or vCard file in the place of the last upload.

    All of the file is taken, or nothing: then the errors name the places. Photos that stand in a vCard are taken as well; none is
    fetched from an address, and one that cannot be read does not keep the file back.
    """
    kind = call.request.headers.get("Content-Type", "")
    try:
        filled, photos, unreadable = await uploads.upload_file(call.context, call.tenant, path.upload, body, kind)
    except FileError as error:
        raise invalid(error.problems, code="invalid_file") from None
    shown = _shown(filled)
    return Reply(UploadShown(**shown.model_dump(), photos=photos, unreadable_photos=unreadable), etag=f'"{filled.version}"')


@endpoints.get("uploads/{upload}", roles=READERS)
async def read_upload(call: Call, path: UploadPath) -> Reply[FilledShown]:
    """How many people the last upload brought, when it came and when it expires."""
    return _reply(await uploads.look_at(call.context, call.tenant, file_source(path.upload)))


@endpoints.delete("uploads/{upload}", roles=ADMINS, audits="upload.deleted")
async def delete_upload(call: Call, path: UploadPath) -> None:
    """Forget the last upload.

    The contacts made from it stay until a sync runs without this source.
    """
    await uploads.empty(call.context, call.tenant, file_source(path.upload))


@endpoints.get("sources/{source}", roles=READERS | PUSHERS)
async def read_source(call: Call, path: SourcePath) -> Reply[FilledShown]:
    """What a push source holds. The ETag names its content."""
    return _reply(await uploads.look_at(call.context, call.tenant, push_source(path.source)))


@endpoints.delete("sources/{source}", roles=ADMINS, audits="source.emptied")
async def delete_source(call: Call, path: SourcePath) -> None:
    """Forget all that was pushed.

    The contacts made from it stay until a sync runs without this source.
    """
    await uploads.empty(call.context, call.tenant, push_source(path.source))


@endpoints.put("sources/{source}/items", roles=PUSHERS, audits="source.replaced", largest=LARGEST_REPLACEMENT)
async def replace_items(call: Call, path: SourcePath, body: Replacement) -> Reply[FilledShown]:
    """Put these items in the place of all that were there, all of them or none.

    From then on they are kept for another sixty days. Errors name the items by their place: `items.3.mail`. With If-Match only if
    the content is still the one that was read.
    """
    problems = await uploads.replace_items(call.context, call.tenant, path.source, body.items, version=call.version)
    if problems:
        raise invalid([(f"items.{at}.{field}".rstrip("."), text) for at, field, text in problems], code="invalid_items")
    return _reply(await uploads.look_at(call.context, call.tenant, push_source(path.source)))


@endpoints.put("sources/{source}/items/{key}", roles=PUSHERS, audits="item.replaced", largest=LARGEST_ITEM)
async def put_item(call: Call, path: ItemPath, body: PushedPerson) -> None:
    """Add one item, or replace it."""
    item = {"id": path.key, **body.model_dump(by_alias=True)}
    await uploads.put_item(call.context, call.tenant, path.source, item)


@endpoints.delete("sources/{source}/items/{key}", roles=PUSHERS, audits="item.deleted")
async def delete_item(call: Call, path: ItemPath) -> None:
    """Take one item out. One that is not there is no error."""
    await uploads.delete_item(call.context, call.tenant, path.source, path.key)


def _reply(filled: Filled) -> Reply[FilledShown]:
    return Reply(_shown(filled), etag=f'"{filled.version}"')


def _shown(filled: Filled) -> FilledShown:
    values = asdict(filled)
    return FilledShown(**{name: values[name] for name in FilledShown.model_fields})
