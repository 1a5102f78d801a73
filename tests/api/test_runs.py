"""Runs over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.api.client import Client
from tests.engine.test_undo import after_a_bad_night
from tests.engine.world import SYNC, World


async def test_a_run_from_its_start_to_its_results(admin: Client, world: World) -> None:
    mailboxes = world.hire_many(25)
    world.tenant.set_mailbox_state(mailboxes[3], "outOfScope")
    started = await admin("POST", f"syncs/{SYNC}/runs", {"check": "changes"}, Idempotency_Key="night-1")
    again = await admin("POST", f"syncs/{SYNC}/runs", {"check": "changes"}, Idempotency_Key="night-1")
    assert (started.status, again.json) == (202, started.json)
    run = started.json["run"]
    assert started.headers["location"] == f"/api/runs/{run}"
    assert (await admin("GET", f"runs/{run}")).json["state"] == "queued"
    await world.settle()
    ended = (await admin("GET", f"runs/{run}")).json
    assert (ended["state"], ended["mailboxes"], ended["check"]) == ("partial", {"done": 24, "set_aside": 1}, "changes")
    assert ended["ended_at"].endswith("Z")
    seen = []
    page = ""
    while True:
        answer = (await admin("GET", f"runs/{run}/mailboxes?size=7{page}")).json
        seen += [result["mailbox"] for result in answer["items"]]
        if answer["next"] is None:
            break
        page = f"&page={answer['next']}"
    assert sorted(seen) == sorted(mailboxes)
    aside = (await admin("GET", f"syncs/{SYNC}/set-aside")).json
    assert [(one["mailbox"], one["reason"]) for one in aside["items"]] == [(mailboxes[3], "out_of_scope")]
    world.tenant.set_mailbox_state(mailboxes[3], "ok")
    retried = await admin("POST", f"syncs/{SYNC}/set-aside/retry", {"mailboxes": [mailboxes[3]]})
    assert retried.status == 202
    await world.settle()
    assert (await admin("GET", f"syncs/{SYNC}/set-aside")).json["items"] == []
    assert (await admin("POST", f"runs/{run}/replay")).status == 202
    await world.settle()
    listed = [one["run"] for one in (await admin("GET", f"runs?sync={SYNC}")).json["items"]]
    assert (len(listed), listed[-1]) == (3, run)
    assert (await admin("GET", "runs?sync=other")).json["items"] == []


async def test_a_run_is_cancelled(admin: Client, world: World) -> None:
    world.hire_many(2)
    run = (await admin("POST", f"syncs/{SYNC}/runs", {})).json["run"]
    await world.settle(most=1)
    cancelled = await admin("POST", f"runs/{run}/cancel")
    assert (cancelled.status, cancelled.json["state"]) == (202, "cancelling")
    await world.settle()
    assert (await admin("GET", f"runs/{run}")).json["state"] == "cancelled"
    late = await admin("POST", f"runs/{run}/cancel")
    assert (late.status, late.json["errors"][0]["field"]) == (400, "run")


async def test_a_held_run_is_released_or_dropped(admin: Client, world: World) -> None:
    people = world.hire_many(60, mailboxes=1)
    await world.run()
    for person in people[20:]:
        world.tenant.remove_user(person)
    world.clock.advance(timedelta(days=1))
    held = await world.run()
    shown = (await admin("GET", f"runs/{held.run}")).json
    assert (shown["state"], shown["would"]["people_removed"]) == ("held", 40)
    assert (await admin("POST", f"runs/{held.run}/drop")).json["state"] == "dropped"
    again = await world.run()
    released = await admin("POST", f"runs/{again.run}/release")
    assert released.status == 202
    await world.settle()
    assert (await admin("GET", f"runs/{released.json['run']}")).json["counts"]["deleted"] == 40


async def test_a_run_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = await after_a_bad_night()
    admin = Client(monkeypatch, bad.world.context)
    answer = await admin("POST", f"runs/{bad.run.run}/undo")
    assert answer.status == 202
    again = await admin("POST", f"runs/{bad.run.run}/undo")
    assert (again.status, again.json["errors"][0]["field"]) == (400, "sync")
    await bad.world.settle()
    run = (await admin("GET", f"runs/{answer.json['run']}")).json
    assert (run["state"], run["undoes"]) == ("succeeded", bad.run.run)
    assert bad.contents() == bad.before
    assert (await admin("GET", f"syncs/{SYNC}")).json["paused"]
