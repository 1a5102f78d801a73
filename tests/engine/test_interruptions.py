"""Work that breaks off at any one moment: afterwards it is as if nothing had happened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core.engine import runs, schedule
from sync_core.engine.context import Context
from sync_core.model import RunState
from sync_core.state.runs import Check, newest_runs
from tests.engine.hazards import Fuse, Hazards, Site
from tests.engine.world import INSTALLATION, NIGHTLY, SYNC, TENANT

STAFF = 3
MOST_MOMENTS = 400


async def request(site: Site, check: Check = Check.DUE) -> None:
    await site.call(lambda context: runs.request_run(context, TENANT, SYNC, check=check, by_hand=True))
    await quieten(site)


async def quieten(site: Site) -> None:
    """Let the host and the timer do their work until nothing is left to do."""
    await site.drain()
    for _ in range(2):
        site.clock.advance(runs.STUCK_AFTER + timedelta(minutes=5))
        await site.call(schedule.schedule_syncs)
        await site.drain()


async def change_everything(site: Site, people: list[str]) -> None:
    """One of each: a new hire, a change, a leaver, and a contact that somebody deleted."""
    site.hire("New Hire")
    site.tenant.change_user(people[0], {"department": "Legal", "mobilePhone": None})
    site.tenant.remove_user(people[2])
    box = site.tenant.mailbox(people[1])
    box.delete(site.tenant.contacts(people[1], "Colleagues")[0])


def wrongs(site: Site) -> list[str]:
    """Whatever in a mailbox is not one contact for each colleague, up to date, in one folder."""
    found: list[str] = []
    users = site.tenant.directory.users.objects
    for mailbox in users:
        ours = site.ours(mailbox)
        if ours.keys() != {f"u:{user}" for user in users}:
            found.append(f"{mailbox} holds {sorted(ours)}")
        found += [f"{mailbox} holds {key} {len(items)} times" for key, items in ours.items() if len(items) != 1]
        for key, (contact, *_) in ours.items():
            user = users.get(key.removeprefix("u:"), {})
            if contact.values.get("department") != user.get("department"):
                found.append(f"{mailbox}: {key} is out of date")
        folders = {contact.folder.id for items in ours.values() for contact in items}
        if len(folders) > 1:
            found.append(f"{mailbox}: {len(folders)} folders")
    return found


async def history(hazards: Hazards, fuse: Fuse, *, first: bool) -> Site:
    """A first sync, or one of changes, in which `fuse` is lit; then a quiet run after the late look."""
    site = Site(hazards)
    people = [site.hire(f"Person Number{number}") for number in range(STAFF)]
    await site.connect()
    if not first:
        await request(site)
        site.clock.advance(timedelta(days=1))
        await change_everything(site, people)
    hazards.fuses.append(fuse)
    await request(site)
    hazards.fuses.clear()
    site.clock.advance(timedelta(days=1))
    await request(site)
    return site


@pytest.mark.parametrize(
    "where", ["before storage", "after storage", "before network", "during network", "after network", "queue"]
)
@pytest.mark.parametrize("first", [True, False], ids=["first sync", "changes"])
async def test_a_worker_may_be_killed_at_any_moment(where: str, first: bool) -> None:
    for moment in range(1, MOST_MOMENTS):
        hazards = Hazards()
        site = await history(hazards, Fuse(hazards.kill, moment, where), first=first)
        assert wrongs(site) == [], f"killed {where}, moment {moment}"
        async for run in newest_runs(site.tables, TENANT):
            assert run.state is RunState.SUCCEEDED, f"killed {where}, moment {moment}"
            break
        if not hazards.fired:
            assert moment > 3
            return
    raise AssertionError("there is no end to the moments")


@pytest.mark.parametrize("where", ["before storage", "after storage", "queue"])
@pytest.mark.parametrize("first", [True, False], ids=["first sync", "changes"])
async def test_storage_may_fail_at_any_moment(where: str, first: bool) -> None:
    for moment in range(1, MOST_MOMENTS):
        hazards = Hazards()
        site = await history(hazards, Fuse(hazards.fail, moment, where), first=first)
        assert wrongs(site) == [], f"failed {where}, moment {moment}"
        if not hazards.fired:
            assert moment > 3
            return
    raise AssertionError("there is no end to the moments")


@pytest.mark.parametrize("where", ["before storage", "after storage", "queue"])
async def test_a_run_that_was_asked_for_meanwhile_follows_though_a_worker_is_killed(where: str) -> None:
    for moment in range(1, MOST_MOMENTS):
        hazards = Hazards()
        site = Site(hazards)
        people = [site.hire(f"Person Number{number}") for number in range(STAFF)]
        await site.connect()
        await runs.request_run(site.context, TENANT, SYNC, by_hand=True)
        while not site.ours(people[0]):
            assert await site.deliver_next()
        site.hire("New Hire", mailbox="none")
        await runs.request_run(site.context, TENANT, SYNC, by_hand=True)
        hazards.fuses.append(Fuse(hazards.kill, moment, where))
        await quieten(site)
        assert all(len(site.ours(mailbox)) == STAFF + 1 for mailbox in people), f"killed {where}, moment {moment}"
        if not hazards.fired:
            assert moment > 3
            return
    raise AssertionError("there is no end to the moments")


class QuickSite(Site):
    """Claims and messages of a dead worker are soon free again."""

    def worker(self, owner: str, *, installation: str = INSTALLATION, lease: float = 60) -> Context:
        return super().worker(owner, installation=installation, lease=60)


async def test_a_write_that_commits_after_its_worker_died_leaves_one_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.engine.hazards.HOST_LEASE", 60.0)
    for moment in range(1, MOST_MOMENTS):
        hazards = Hazards()
        site = QuickSite(hazards)
        people = [site.hire(f"Person Number{number}") for number in range(STAFF)]
        await site.connect({"schedule": NIGHTLY})
        # another worker has come and gone by then
        site.cloud.faults.add(Fault(FaultKind.LATE, times=STAFF, method="POST", path="/contacts$", delay=300))
        hazards.fuses.append(Fuse(hazards.kill, moment, "after network"))
        await site.call(lambda context: runs.request_run(context, TENANT, SYNC))
        await site.drain()
        for _ in range(2):  # a quarter of an hour, not a night
            site.clock.advance(timedelta(minutes=11))
            await site.call(schedule.schedule_syncs)
            await site.drain()
        doubles = [key for mailbox in people for key, items in site.ours(mailbox).items() if len(items) != 1]
        assert doubles == [], f"killed at moment {moment}"
        assert all(len(site.ours(mailbox)) == STAFF for mailbox in people), f"killed at moment {moment}"
        if not hazards.fired["killed"]:
            assert moment > 3
            return
    raise AssertionError("there is no end to the moments")
