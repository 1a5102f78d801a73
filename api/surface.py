"""All endpoints of the app at a glance, and their description."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, RootModel

from api import (
    audit,
    connection,
    exports,
    lookups,
    me,
    partners,
    previews,
    privacy,
    runs,
    settings,
    sources,
    syncs,
    webhook,
)
from api.endpoint import ANYONE, Call, Endpoint, Endpoints

about = Endpoints("About")


class Health(BaseModel):
    """Settings are complete and storage answers."""

    status: str


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


@about.get("health", roles=ANYONE)
async def health(call: Call) -> Health:
    """Whether settings are complete and storage answers."""
    await call.context.tables.get("tenants", "health", "health")
    return Health(status="ok")


@about.get("openapi.json", roles=ANYONE)
async def openapi(call: Call) -> Document:  # noqa: ARG001 - every handler takes it
    """This description."""
    return _document()


GROUPS = (
    about,
    syncs.endpoints,
    lookups.endpoints,
    previews.endpoints,
    runs.endpoints,
    sources.endpoints,
    settings.endpoints,
    me.endpoints,
    privacy.endpoints,
    exports.endpoints,
    audit.endpoints,
    connection.endpoints,
    partners.endpoints,
    webhook.endpoints,
)


def endpoints() -> list[Endpoint]:
    """Every endpoint there is."""
    return [endpoint for group in GROUPS for endpoint in group.declared]


@cache
def _document() -> Document:
    from api.openapi import document

    return Document(document(endpoints()))
