"""Exports: everything held on a person, or on a tenant, as ZIPs in private storage that can be fetched for seven days.

A large one comes in parts. Each is a ZIP by itself, small enough to be sent in one answer, and a step of the work: who dies goes
on after the last one that was noted. What nobody noted lies in the same folder, and goes with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from secrets import token_hex

import orjson

from gdpr.archive import Frames, Part, Unit, zipped
from gdpr.audit_chain import Actor
from gdpr.documents import manifest
from gdpr.erasure import Task, WaitError
from gdpr.held import FILES, sections
from gdpr.requests import (
    ExportPart,
    Request,
    RequestKind,
    RequestState,
    Subject,
    identifiers_of,
    load_request,
    newest_requests,
    save_request,
)
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError, NotFoundError
from sync_core.suppression import by_key

KEPT_FOR = timedelta(days=7)
PART_SIZE = 24 * 1024 * 1024
"""Bytes from which on nothing more is put into a part. An answer of the Functions host holds several times as much."""

_EXPORTS = (RequestKind.EXPORT, RequestKind.TENANT_EXPORT)
_EXPORT_DELAY = 10.0
_LATE = timedelta(days=2)
"""So long after an export was deleted, a worker that had begun to write it may have put something there again."""


async def build_export(task: Task) -> None:
    """Write the parts of a request's export, one after another. Raises OutOfTimeError after one when there are more."""
    request, context = task.request, task.context
    if not request.cursor:
        await context.blobs.delete(_folder(request))
        request.parts = []
    units = _units(task)
    while True:
        part = await _write_part(task, units)
        request.cursor = part.place
        if part.is_last:
            request.expires_at = context.now() + KEPT_FOR
            return
        try:
            await task.save()
        except ConflictError:
            await context.blobs.delete(_name(request, request.parts[-1]))
            raise
        task.check_time()


async def load_export(
    context: Context, tenant: str, request_id: str, *, by: Actor, is_officer: bool, about_self: bool = False
) -> Request:
    """The request of a finished export, for who asked for it and for compliance officers. Raises NotFoundError for anybody else.

    With `about_self` only for the person whom it is about, who asked for it: not for what they once asked for in a role.
    """
    request = await load_request(context, tenant, request_id)
    if not (is_officer or request.by == by) or request.kind not in _EXPORTS:
        raise NotFoundError("this request does not exist")
    if about_self and request.subject.identifiers not in ([], identifiers_of(object_ids=(by.id,))):
        raise NotFoundError("this request does not exist")
    if request.state is not RequestState.DONE:
        raise InputError("request", f"is {request.state}: there is nothing to fetch")
    if not request.parts or request.expires_at is None or context.now() >= request.expires_at:
        raise NotFoundError("this export has expired: ask for it again")
    return request


async def open_part(context: Context, request: Request, number: int) -> AsyncIterator[bytes]:
    """The bytes of a part of a finished export, from 1 on. Raises NotFoundError."""
    if not 1 <= number <= len(request.parts):
        raise NotFoundError("this export has no such part")
    part = request.parts[number - 1]
    frames = Frames((await context.keyring.keys(request.tenant)).sealer, _place(request, part.name))
    return frames.opened(context.blobs.get(_name(request, part)), part.frames)


async def discard_exports(context: Context, tenant: str, is_meant: Callable[[Request], bool]) -> int:
    """Delete exports and forget whom they are about; returns how many. Repeatable."""
    discarded = 0
    async for request in newest_requests(context, tenant):
        if request.parts and request.state is not RequestState.RUNNING and is_meant(request):
            await context.blobs.delete(_folder(request))
            request.parts, request.subject = [], Subject()
            await save_request(context, request)
            discarded += 1
    return discarded


async def clean_exports(task: Task) -> None:
    """Delete what has been exported of the person, and every export of the whole tenant."""
    subject = task.request.subject

    def holds(request: Request) -> bool:
        return request.kind is RequestKind.TENANT_EXPORT or not _names(subject).isdisjoint(_names(request.subject))

    task.request.count("exports", await discard_exports(task.context, task.tenant, holds))
    async for other in newest_requests(task.context, task.tenant):
        if other.state is RequestState.RUNNING and other.kind in _EXPORTS and holds(other):
            raise WaitError(_EXPORT_DELAY)  # it may have read before the person was erased


async def expire_exports(context: Context, tenant: str) -> None:
    """Delete what has been there for seven days, and what came after that from a worker that was late."""
    now = context.now()
    await discard_exports(context, tenant, lambda request: request.expires_at is None or request.expires_at <= now)
    async for request in newest_requests(context, tenant):
        ended = request.ended_at
        if request.kind in _EXPORTS and not request.parts and ended is not None and now - ended < KEPT_FOR + _LATE:
            await context.blobs.delete(_folder(request))


async def _write_part(task: Task, units: AsyncIterator[Unit]) -> Part:
    request, context = task.request, task.context
    part = Part(len(request.parts) + 1)
    name = token_hex(8)
    frames = Frames(task.keys.sealer, _place(request, name))

    def enough() -> bool:
        return part.size >= PART_SIZE or context.now() >= task.deadline

    def last_file() -> Unit:
        parts = [*(one.files for one in request.parts), part.files]
        about = "the tenant" if request.kind is RequestKind.TENANT_EXPORT else "a person"
        said = manifest(tenant=task.tenant, about=about, made_at=context.now(), parts=parts, files=FILES[request.kind])
        return Unit("manifest.json", "", orjson.dumps(said, option=orjson.OPT_INDENT_2))

    pieces = zipped(units, part, at=context.now(), enough=enough, last_file=last_file)
    await context.blobs.put(f"{_folder(request)}{name}", frames.sealed(pieces))
    request.parts.append(ExportPart(name, frames.count, part.size, part.files))
    return part


async def _units(task: Task) -> AsyncIterator[Unit]:
    """All that is to be exported, from where the request has got to."""
    begun, _, after = task.request.cursor.partition("|")
    first = int(begun or 0)
    for number, section in enumerate(sections(task)):
        if number >= first:
            async for unit in section(task, after if number == first else ""):
                yield unit._replace(place=f"{number}|{unit.place}") if unit.place else unit


def _names(subject: Subject) -> set[str]:
    return {*subject.identifiers, *map(by_key, subject.keys)}


def _folder(request: Request) -> str:
    return f"{request.tenant}/{request.request}/"


def _name(request: Request, part: ExportPart) -> str:
    return f"{_folder(request)}{part.name}"


def _place(request: Request, name: str) -> str:
    return f"exports|{request.tenant}|{request.request}|{name}"
