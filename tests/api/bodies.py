"""A good body for every endpoint that wants one, by its name, and a world with something of everything in it."""

from __future__ import annotations

import json
from typing import Any

from api.endpoint import Endpoint
from sync_core.engine import uploads
from sync_core.engine.context import Context
from tests.engine.world import SYNC, TENANT

DEFINITION = {"name": "New", "folder": "New", "schedule": {"kind": "manual"}}
PERSON = {"displayName": "Ann", "mail": "ann@x.example"}
FILE = b"Name,E-mail\nPaul,paul@x.example\n"

BODIES: dict[str, Any] = {
    "create_sync": {"sync": "new", "definition": DEFINITION},
    "replace_sync": DEFINITION,
    "patch_sync": {"name": "Patched"},
    "preview_definition": {"definition": DEFINITION},
    "search_directory": {"kind": "people", "starts_with": "Person"},
    "grant_partner": {"roles": ["Rollcall.Viewer"]},
    "put_upload": FILE,
    "put_item": PERSON,
    "replace_items": {"items": [{"id": "1", **PERSON}]},
    "replace_settings": {"default_country": "FR"},
    "choose_list": {"choice": "on"},
    "hide_fields": {"hidden": []},
    "make_privacy_request": {"kind": "export", "emails": ["ann@x.example"]},
    "make_my_request": {"kind": "export"},
    "shred_actor": {"object_id": "00000000-0000-4000-8000-00000000000f"},
    "refuse_privacy_request": {"reason": "Not the right person"},
    "extend_privacy_request": {"reason": "Many mailboxes"},
}
NOBODY = "00000000-0000-4000-8000-00000000000f"
UPLOAD, SOURCE, ITEM = "partners", "crm", "4711"


def body_of(endpoint: Endpoint) -> bytes:
    """What to send."""
    if endpoint.body is None:
        return b""
    body = BODIES.get(endpoint.name, {})
    return body if isinstance(body, bytes) else json.dumps(body).encode()


async def furnish(context: Context, tenant: str = TENANT) -> None:
    """Give a tenant an upload and a push source."""
    await uploads.upload_file(context, tenant, UPLOAD, FILE, "text/csv")
    await uploads.replace_items(context, tenant, SOURCE, [{"id": ITEM, **PERSON}])


def ids(run: str) -> dict[str, str]:
    """The ids in routes, by the names of the parameters."""
    ours = {"sync": SYNC, "run": run, "upload": UPLOAD, "source": SOURCE, "key": ITEM, "mailbox": NOBODY, "partner": NOBODY}
    return {**ours, "request": "0000000000000-00000000", "part": "1"}
