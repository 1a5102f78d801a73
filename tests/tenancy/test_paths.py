"""Every path of Graph that is called stands in the table of features, each feature works with its own permissions alone, and the
permissions are those of the documentation (test_check.py compares that with the table)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from local.m365.mailbox import Mailbox
from local.m365.routes import find
from local.m365.service import Microsoft365
from sync_core.engine import admin
from sync_core.engine.exit import Exit, leave_mailbox
from sync_core.engine.old_folder import old_folders
from sync_core.engine.preview import Page, preview
from sync_core.engine.undo import undo
from sync_core.model import RunState
from sync_core.state.runs import Check
from sync_core.state.syncs import load_sync
from tenancy.check import check as check_connection
from tenancy.connection import features_of
from tenancy.features import NEEDS, Feature, calls_for, permissions_for
from tests.engine.rooms import SYNC as CALENDAR_SYNC
from tests.engine.rooms import Rooms
from tests.engine.world import INSTALLATION, SYNC, TENANT
from tests.tenancy.conftest import Site


class Tour(Rooms):
    """A tenant in which every run must succeed with the permissions of some features."""

    def __init__(self, *, permanent_delete: bool) -> None:
        super().__init__(permanent_delete=permanent_delete)
        self.people = [self.hire(f"Person Number{number}") for number in range(3)]

    def allow(self, *features: Feature) -> None:
        self.tenant.app.permissions = permissions_for(features)

    async def good(self, *, sync: str = SYNC, check: Check = Check.DUE) -> None:
        run = await self.run(sync=sync, check=check)
        assert (run.state, run.reason) == (RunState.SUCCEEDED, ""), run.detail

    async def whole_life(self, definition: dict[str, Any], *, sync: str = SYNC) -> None:
        """What can happen to a sync and its mailboxes."""
        await self.connect(definition, sync=sync)
        await preview(self.context, await load_sync(self.tables, TENANT, sync), Page([], 5))
        await self.good(sync=sync)
        for check in (Check.DUE, Check.CHANGES, Check.EVERYTHING):
            self.clock.advance(timedelta(days=1))
            await self.good(sync=sync, check=check)
        await self.context.purge(TENANT, sync)
        await self.good(sync=sync)

    async def end(self, *, sync: str = SYNC) -> None:
        await admin.delete_sync(self.context, TENANT, sync)
        await self.settle()


async def directory_and_contacts(tour: Tour) -> None:
    """Folders of our own, renamed, lost and left behind; the default folder; undo; leaving; another product's folder."""
    box: Mailbox = tour.tenant.mailbox(tour.people[0])
    await tour.context.graph.directory(TENANT).search("people", "Person", 5)
    await tour.context.graph.directory(TENANT).search("shared_mailboxes", "Room", 5)
    await tour.whole_life({"on_user_delete": "respect"})
    tour.hire("Late Comer")
    tour.tenant.change_user(tour.people[1], {"department": "Purchasing"})
    await tour.good()
    [mine, *_] = [contact for found in tour.ours(tour.people[0]).values() for contact in found]
    box.move(mine, box.contacts)
    other = tour.ours(tour.people[1])
    tour.tenant.mailbox(tour.people[1]).delete(next(iter(other.values()))[0], permanently=False)
    await tour.good(check=Check.CHANGES)
    await tour.define({"folder": "Renamed"})
    await tour.good()
    box.delete_folder(tour.tenant.folder(tour.people[0], "Renamed"), permanently=False)
    await tour.good(check=Check.EVERYTHING)
    tour.tenant.enable_user(tour.people[2], enabled=False)
    await tour.good()
    last = await tour.last_run()
    await undo(tour.context, TENANT, last.run)
    await tour.settle()
    await tour.end()
    await tour.whole_life({"folder": None}, sync="default")
    await tour.end(sync="default")
    await tour.whole_life({}, sync="kept")
    mailboxes = tour.context.graph.mailboxes(TENANT)
    await leave_mailbox(mailboxes, tour.people[0], installation=INSTALLATION, action=Exit.REMOVE)
    await leave_mailbox(mailboxes, tour.people[1], installation=INSTALLATION, action=Exit.UNMARK)
    box.create_folder(box.contacts, "Old product")
    await old_folders(mailboxes, tour.people[0], name="Old product", delete=True)


async def groups(tour: Tour) -> None:
    group = "99999999-0000-4000-8000-000000000009"
    tour.tenant.directory.groups.add({"id": group, "displayName": "Team"})
    tour.tenant.directory.join(group, tour.people[:2])
    await tour.context.graph.directory(TENANT).search("groups", "Te", 5)
    await tour.whole_life({"sources": [{"kind": "group", "id": group}], "targets": {"include": {"groups": [group]}}})


async def org_contacts(tour: Tour) -> None:
    await tour.whole_life({"sources": [{"kind": "orgContacts"}, {"kind": "directory"}]})


async def shared_mailboxes(tour: Tour) -> None:
    sources = [{"kind": "mailbox", "mailbox": tour.room, "folder": folder} for folder in ("default", "Suppliers")]
    box = tour.tenant.mailbox(tour.room)
    box.create_folder(box.contacts, "Suppliers")
    await tour.whole_life({"sources": [*sources, {"kind": "directory"}]})


async def calendars(tour: Tour) -> None:
    tour.book("Workshop", "2026-11-05T10:00:00")
    await tour.whole_life({"folder": "Team", "sources": [tour.source()], "events": None}, sync=CALENDAR_SYNC)
    second = tour.book("Second", "2026-11-06T10:00:00")
    await tour.good(sync=CALENDAR_SYNC)
    tour.kept(tour.room).change(tour.kept(tour.room).find(second.id), {"subject": "Moved"})
    await tour.good(sync=CALENDAR_SYNC)
    calendar = tour.mirrored(tour.people[0])
    kept = tour.kept(tour.people[0])
    kept.delete(kept.find(next(iter(calendar.events.values())).id))
    tour.clock.advance(timedelta(days=1))
    await tour.good(sync=CALENDAR_SYNC, check=Check.CHANGES)
    tour.kept(tour.room).delete(tour.kept(tour.room).find(second.id))
    await tour.good(sync=CALENDAR_SYNC)
    await tour.define({"folder": "Renamed", "sources": [tour.source()]}, sync=CALENDAR_SYNC)
    await tour.good(sync=CALENDAR_SYNC)
    theirs = tour.context.graph.calendars(TENANT)
    await leave_mailbox(theirs, tour.people[0], installation=INSTALLATION, action=Exit.REMOVE)
    await leave_mailbox(theirs, tour.people[1], installation=INSTALLATION, action=Exit.UNMARK)
    await tour.end(sync=CALENDAR_SYNC)


async def photos(tour: Tour) -> None:
    for number, person in enumerate(tour.people):
        tour.tenant.set_photo(person, number)
    await tour.whole_life({"photos": "240x240"})


async def a_national_cloud(tour: Tour) -> None:
    """Where nothing can be deleted for good."""
    await tour.whole_life({})
    tour.tenant.remove_user(tour.people[2])
    await tour.good()
    await tour.end()
    tour.allow(Feature.DIRECTORY, Feature.CALENDARS)
    tour.clock.advance(timedelta(hours=2))
    event, _ = (tour.book(subject, "2026-12-05T10:00:00") for subject in ("Workshop", "Interview"))
    await tour.whole_life({"folder": "Team", "sources": [tour.source()]}, sync=CALENDAR_SYNC)
    tour.kept(tour.room).delete(tour.kept(tour.room).find(event.id))
    await tour.good(sync=CALENDAR_SYNC)
    await tour.end(sync=CALENDAR_SYNC)


TOURS: list[tuple[Callable[[Tour], Awaitable[None]], tuple[Feature, ...]]] = [
    (directory_and_contacts, (Feature.DIRECTORY, Feature.CONTACTS)),
    (groups, (Feature.DIRECTORY, Feature.CONTACTS, Feature.GROUPS)),
    (org_contacts, (Feature.DIRECTORY, Feature.CONTACTS, Feature.ORG_CONTACTS)),
    (shared_mailboxes, (Feature.DIRECTORY, Feature.CONTACTS, Feature.SHARED_MAILBOXES)),
    (photos, (Feature.DIRECTORY, Feature.CONTACTS, Feature.PHOTOS)),
    (calendars, (Feature.DIRECTORY, Feature.CALENDARS)),
    (a_national_cloud, (Feature.DIRECTORY, Feature.CONTACTS, Feature.CALENDARS)),
]


def called(cloud: Microsoft365) -> set[str]:
    return {name for name, count in cloud.counters.templates.items() if count}


async def test_each_feature_works_with_its_own_permissions_and_calls_what_the_table_says() -> None:
    seen: set[str] = set()
    for go, features in TOURS:
        tour = Tour(permanent_delete=go is not a_national_cloud)
        tour.allow(*features)
        await go(tour)
        assert tour.cloud.counters.statuses[403] == 0, go
        assert tour.cloud.counters.violations == []
        assert called(tour.cloud) - calls_for(features) == set(), go
        seen |= called(tour.cloud)
    site = Site()
    site.world.hire("Anna Berg")
    await check_connection(site.tenancy, TENANT)
    seen |= called(site.cloud)
    assert seen == calls_for(Feature)


@pytest.mark.parametrize("feature", Feature)
def test_each_permission_opens_each_path_of_its_feature(feature: Feature) -> None:
    """By the stand-in's routes, whose permissions are those of Graph's pages."""
    need = NEEDS[feature]
    for call in need.calls:
        method, path = call.split()
        route, _ = find(method, path.replace("{id}", "x"))
        assert need.permission in route.permissions, call
        assert route.outlook is (need.scopable or feature is Feature.PHOTOS), call
        assert not any(role.startswith("Mail.") for role in (need.permission, *need.others))


async def test_what_a_sync_needs_is_told_from_its_definition(site: Site) -> None:
    expected = {
        "directory": [Feature.DIRECTORY, Feature.CONTACTS],
        "group": [Feature.DIRECTORY, Feature.CONTACTS, Feature.GROUPS],
        "targets": [Feature.DIRECTORY, Feature.CONTACTS, Feature.GROUPS],
        "mailbox": [Feature.DIRECTORY, Feature.CONTACTS, Feature.SHARED_MAILBOXES],
        "calendar": [Feature.DIRECTORY, Feature.CALENDARS],
    }
    sources: dict[str, dict[str, Any]] = {
        "directory": {},
        "group": {"sources": [{"kind": "group", "id": TENANT}]},
        "targets": {"targets": {"exclude": {"groups": [TENANT]}}},
        "mailbox": {"sources": [{"kind": "mailbox", "mailbox": TENANT, "folder": "default"}]},
        "calendar": {"sources": [{"kind": "calendar", "mailbox": TENANT}]},
    }
    for name, values in sources.items():
        await site.world.connect(values, sync=name)
        definition = (await load_sync(site.world.tables, TENANT, name)).definition
        assert features_of([definition]) == expected[name], name
    assert features_of([]) == [Feature.DIRECTORY, Feature.CONTACTS]
