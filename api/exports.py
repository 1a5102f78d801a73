"""Finished exports, part by part: for compliance officers, and for employees what they asked for about themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.audits import append_entry
from api.connection import require_own
from api.endpoint import COMPLIANCE, EVERYONE, Call, Endpoints
from api.privacy import RequestPath, actor_of
from gdpr.export import load_export, open_part
from gdpr.requests import Request

endpoints = Endpoints("Exports")


class PartPath(RequestPath):
    """Names a part of a request's export."""

    part: Annotated[int, Field(ge=1, le=10_000)]


class PartShown(BaseModel):
    """A part: a ZIP by itself. The files of all parts can be unpacked into one folder; the last has the manifest."""

    part: int
    size: int = Field(description="In bytes")
    files: list[str]


class ExportShown(BaseModel):
    """What can be fetched, and until when."""

    expires_at: datetime | None
    parts: list[PartShown]


@endpoints.get("privacy/requests/{request}/export", roles=COMPLIANCE)
async def get_export(call: Call, path: RequestPath) -> ExportShown:
    """The parts of a finished export, which can be fetched for seven days. Scripts see only what they asked for themselves."""
    return _shown(await _for_officer(call, path))


@endpoints.get("privacy/requests/{request}/export/{part}", roles=COMPLIANCE, produces="application/zip")
async def get_export_part(call: Call, path: PartPath) -> bytes:
    """One part of a finished export, as a ZIP."""
    return await _part(call, await _for_officer(call, path), path.part, "export.fetched")


@endpoints.get("me/privacy/requests/{request}/export", roles=EVERYONE)
async def get_my_export(call: Call, path: RequestPath) -> ExportShown:
    """The parts of the export that I asked for about myself, which can be fetched for seven days."""
    return _shown(await _for_myself(call, path))


@endpoints.get("me/privacy/requests/{request}/export/{part}", roles=EVERYONE, produces="application/zip")
async def get_my_export_part(call: Call, path: PartPath) -> bytes:
    """One part of the export that I asked for about myself, as a ZIP."""
    return await _part(call, await _for_myself(call, path), path.part, "own_export.fetched")


async def _for_officer(call: Call, path: RequestPath) -> Request:
    require_own(call)
    is_officer = not call.principal.is_app
    return await load_export(call.context, call.tenant, path.request, by=actor_of(call), is_officer=is_officer)


async def _for_myself(call: Call, path: RequestPath) -> Request:
    return await load_export(call.context, call.tenant, path.request, by=actor_of(call), is_officer=False, about_self=True)


async def _part(call: Call, request: Request, number: int, action: str) -> bytes:
    pieces = await open_part(call.context, request, number)
    await append_entry(call, action, before=None, after=None)
    return b"".join([piece async for piece in pieces])


def _shown(request: Request) -> ExportShown:
    parts = [PartShown(part=number, size=part.size, files=part.files) for number, part in enumerate(request.parts, 1)]
    return ExportShown(expires_at=request.expires_at, parts=parts)
