"""Previews over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Client
from tests.engine.world import SYNC, World

NOBODY = "00000000-0000-4000-8000-000000000000"


async def test_what_a_run_would_do_is_shown_in_pages(admin: Client, world: World) -> None:
    mailboxes = world.hire_many(8)
    await world.run()
    world.tenant.change_user(mailboxes[0], {"jobTitle": "Boss"})
    address = f"syncs/{SYNC}/preview"
    body = (await admin("POST", address, {"mailboxes": mailboxes[:2]})).json
    assert body["would"]["people_changed"] == 1
    assert [one["mailbox"] for one in body["mailboxes"]] == mailboxes[:2]
    assert body["mailboxes"][0]["operations"] == [
        {"operation": "update", "key": f"u:{mailboxes[0]}", "before": {"jobTitle": None}, "after": {"jobTitle": "Boss"}}
    ]
    body = (await admin("POST", address, {})).json
    assert (len(body["mailboxes"]), body["next"]) == (5, {"mailbox": sorted(mailboxes)[5], "operation": 0})
    body = (await admin("POST", address, {"start": body["next"]})).json
    assert ([one["mailbox"] for one in body["mailboxes"]], body["next"]) == (sorted(mailboxes)[5:], None)
    definition = {"name": "New", "folder": "New"}
    body = (await admin("POST", "previews", {"definition": definition, "first": 1})).json
    assert body["mailboxes"][0]["counts"]["created"] == 8
    body = (await admin("POST", address, {"definition": {**definition, "targets": {"exclude": mailboxes}}})).json
    assert body["holds"] == [{"reason": "targets_dropped", "detail": "8 -> 0"}]


@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("previews", {}, "definition"),
        ("previews", {"definition": {"name": "x"}}, "definition.folder"),
        (f"syncs/{SYNC}/preview", {"mailboxes": [NOBODY] * 21}, "mailboxes"),
        (f"syncs/{SYNC}/preview", {"first": 21}, "first"),
        (f"syncs/{SYNC}/preview", {"start": {"mailbox": "x"}}, "start.mailbox"),
        (f"syncs/{SYNC}/preview", {"all": True}, "all"),
    ],
)
async def test_what_is_wrong_in_a_request_is_named(admin: Client, address: str, body: dict[str, Any], field: str) -> None:
    answer = await admin("POST", address, body)
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, [field])
