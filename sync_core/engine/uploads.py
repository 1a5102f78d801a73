"""People handed to us: uploaded files, and items that other systems push."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

from sync_core.definition import parse
from sync_core.encoding import kept as encoded
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError, LostPagesError, NotFoundError, StaleError
from sync_core.sources import kept, push
from sync_core.sources.files.entries import MOST_PROBLEMS
from sync_core.sources.files.reading import read_people
from sync_core.sources.handed_photos import Darkroom
from sync_core.sources.registry import file_source, push_source
from sync_core.state.sources import SourceHead, SourceStore
from sync_core.state.tenants import load_tenant

_TRIES = 8
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Filled:
    """What a source that people are handed to holds: how many, since when, and when it expires. `version` names the content."""

    people: int
    received_at: datetime
    expires_at: datetime
    version: str


class Uploaded(NamedTuple):
    """What an upload brought: how many people have a photo, and how many one that cannot be read and was left out."""

    filled: Filled
    photos: int
    unreadable_photos: int


class ItemProblem(NamedTuple):
    """What is wrong with one of the items pushed: its place among them (from 0), the field and the problem."""

    item: int
    field: str
    problem: str


async def upload_file(context: Context, tenant: str, name: str, body: bytes, content_type: str) -> Uploaded:
    """Put a file's people in the place of those of the last upload.

    Raises FileError, with nothing changed, that names the places where the file is wrong; NotFoundError for an unknown tenant.
    """
    source = file_source(_checked(name))
    store = await _store(context, tenant, source)
    darkroom = await _darkroom(context, tenant)
    people = await asyncio.to_thread(read_people, body, content_type, source, darkroom)
    head = await _again(lambda: kept.replace_all(store, people, context.now(), darkroom=darkroom))
    return Uploaded(_filled(head), darkroom.photos, darkroom.unreadable)


async def put_item(context: Context, tenant: str, name: str, item: object) -> None:
    """Add one person to a push source, or replace them. Raises InputError that names the wrong field."""
    source = push_source(_checked(name))
    pushed = parse(push.PushedItem, item)
    store = await _store(context, tenant, source)
    darkroom = await _darkroom(context, tenant)
    key, person = push.key_of(source, pushed.id), await asyncio.to_thread(push.person_of, pushed, darkroom)
    await _again(lambda: kept.change_one(store, key, person, context.now(), darkroom=darkroom))


async def delete_item(context: Context, tenant: str, name: str, item_id: str) -> None:
    """Take one person out of a push source; one that is not there is no error."""
    source = push_source(_checked(name))
    store = await _store(context, tenant, source)
    await _again(lambda: kept.change_one(store, push.key_of(source, item_id), None, context.now()))


async def replace_items(
    context: Context, tenant: str, name: str, items: Sequence[object], *, version: str = ""
) -> list[ItemProblem]:
    """Put these people in the place of all that a push source holds; from now on it lasts another sixty days.

    Returns what is wrong with the items, the first few of it: then nothing was changed. Raises InputError for too many items, and
    StaleError when the source is not at `version` ("": any) any more.
    """
    source = push_source(_checked(name))
    store = await _store(context, tenant, source)
    if len(items) > push.MOST_ITEMS:
        raise InputError("items", f"must not be more than {push.MOST_ITEMS}")
    darkroom = await _darkroom(context, tenant)
    people, problems = await asyncio.to_thread(_read_items, source, items, darkroom)
    if not problems:
        await _again(lambda: kept.replace_all(store, people, context.now(), darkroom=darkroom, version=version))
    return problems


def _read_items(source: str, items: Sequence[object], darkroom: Darkroom) -> tuple[dict[str, bytes], list[ItemProblem]]:
    people: dict[str, bytes] = {}
    problems: list[ItemProblem] = []
    for at, item in enumerate(items):
        try:
            pushed = parse(push.PushedItem, item)
            person = push.person_of(pushed, darkroom)
        except InputError as error:
            problems.append(ItemProblem(at, error.field, error.problem))
        else:
            key = push.key_of(source, pushed.id)
            if key in people:
                problems.append(ItemProblem(at, "id", "is that of another item as well"))
            people[key] = encoded(person)
        if len(problems) == MOST_PROBLEMS:
            break
    return people, problems


async def look_at(context: Context, tenant: str, source: str) -> Filled:
    """What a file or push source holds. Raises NotFoundError when there is nothing (any more)."""
    store = await _store(context, tenant, source)
    head = await store.head()
    if head is None or context.now() - head.full_at >= kept.KEPT_FOR:
        raise NotFoundError("this source holds nothing: it was never filled, was purged, or has expired")
    return _filled(head)


async def empty(context: Context, tenant: str, source: str) -> None:
    """Forget all that a file or push source holds. Syncs that use it hold until it is filled again."""
    store = await _store(context, tenant, source)
    await store.discard()
    await store.photos.remove([place async for place in store.photos.places()])


async def _store(context: Context, tenant: str, source: str) -> SourceStore:
    await load_tenant(context.tables, tenant)
    return SourceStore(context.tables, await context.keyring.keys(tenant), tenant, source)


async def _darkroom(context: Context, tenant: str) -> Darkroom:
    return Darkroom((await context.keyring.keys(tenant)).fingerprint_key)


async def _again(change: Callable[[], Awaitable[Result]]) -> Result:
    """Change a source, again on its newest state when somebody else was first."""
    for _ in range(_TRIES):
        try:
            return await change()
        except StaleError:
            raise
        except (ConflictError, LostPagesError):
            continue
    raise ConflictError("the source keeps changing")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError("source", "must be 1 to 63 characters: lower-case letters, digits and hyphens")
    return name


def _filled(head: SourceHead) -> Filled:
    return Filled(head.count, head.full_at, head.full_at + kept.KEPT_FOR, head.digest)
