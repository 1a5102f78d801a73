"""Photos of people on the contacts in mailboxes: read once, written once, gone when they are gone."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from local.m365.faults import Fault, FaultKind
from local.m365.photos import drawn
from sync_core.model import RunState
from sync_core.state.runs import Check
from tests.engine.test_preview import shown
from tests.engine.world import SYNC, TENANT, World

PHOTOS = {"photos": "240x240"}
PUT = "PUT /users/{id}/contacts/{id}/photo/$value"
VERSION = "GET /users/{id}/photo"
CONTENT = "GET /users/{id}/photos/{id}/$value"


def photo(world: World, mailbox: str, user: str) -> bytes:
    (contact,) = world.ours(mailbox)[f"u:{user}"]
    content: bytes = contact.photo
    return content


async def staff(count: int = 4, *, mailboxes: int = 2, **definition: object) -> tuple[World, list[str]]:
    """People of whom all but the last have a photo."""
    world = World()
    people = world.hire_many(count, mailboxes=mailboxes)
    for number, user in enumerate(people[:-1]):
        world.tenant.set_photo(user, number)
    await world.connect({**PHOTOS, **definition})
    return world, people


async def test_each_contact_gets_the_photo_of_its_person() -> None:
    world, people = await staff()
    run = await world.run()
    assert (run.state, run.counts.created, run.counts.photos) == (RunState.SUCCEEDED, 8, 6)
    counts = {"looked": 4, "learnt": 4, "fetched": 3, "changed": 3, "unreadable": 0, "refused": 0, "photos": 3, "unknown": 0}
    assert run.photos == counts
    for mailbox in people[:2]:
        shown = [photo(world, mailbox, user) for user in people]
        assert [Image.open(BytesIO(content)).size for content in shown[:-1]] == [(240, 240)] * 3
        assert len(set(shown)) == 4
        assert shown[-1] == b""


async def test_a_photo_is_fetched_once_and_not_for_each_mailbox() -> None:
    world, _ = await staff(mailboxes=4)
    await world.run()
    templates = world.cloud.counters.templates
    assert (templates[VERSION], templates[CONTENT], templates[PUT]) == (4, 3, 12)


async def test_without_the_option_photos_cost_nothing_and_none_are_written() -> None:
    world, people = await staff(photos="none")
    run = await world.run()
    assert not [name for name in world.cloud.counters.templates if "photo" in name]
    assert (run.photos, run.counts.photos, photo(world, people[0], people[0])) == ({}, 0, b"")


async def test_a_first_sync_writes_each_contact_and_each_photo_once() -> None:
    world, people = await staff(50, mailboxes=50)
    await world.define({**PHOTOS, "targets": {"include": people[:1]}})
    world.cloud.counters.reset()
    run = await world.run()
    assert run.counts.photos == 49
    versions_and_contents = 50 + 49
    assert world.cloud.counters.mailboxes.total() == versions_and_contents + (50 + 49 + 2)
    assert world.cloud.counters.http_calls - 1 <= 3 + 4 + 3 + 3 + 2


async def test_nothing_changed_costs_no_photo_request_for_a_mailbox() -> None:
    world, people = await staff()
    await world.run()
    for _ in range(8):
        world.clock.advance(timedelta(days=1))
        world.cloud.counters.reset()
        run = await world.run()
        templates = world.cloud.counters.templates
        assert (templates[PUT], templates[CONTENT], run.counts.photos) == (0, 0, 0)
        assert run.photos["looked"] == templates[VERSION] <= len(people)


async def test_each_person_is_looked_at_once_a_week() -> None:
    world, _ = await staff(40, mailboxes=1)
    await world.run()
    looked = []
    for _ in range(14):
        world.clock.advance(timedelta(days=1))
        run = await world.run()
        looked.append(run.photos["looked"])
    assert sum(looked[7:]) == 40
    assert max(looked[7:]) < 20


async def test_another_photo_is_seen_within_the_week_and_written_everywhere() -> None:
    world, people = await staff()
    await world.run()
    before = photo(world, people[1], people[0])
    world.tenant.set_photo(people[0], 77)
    for _ in range(7):
        world.clock.advance(timedelta(days=1))
        await world.run()
    after = [photo(world, mailbox, people[0]) for mailbox in people[:2]]
    assert after[0] == after[1] != before


async def test_a_run_that_checks_everything_sees_it_at_once() -> None:
    world, people = await staff()
    await world.run()
    before = photo(world, people[1], people[0])
    world.clock.advance(timedelta(hours=2))
    world.tenant.set_photo(people[0], 77)
    run = await world.run(check=Check.EVERYTHING)
    assert (run.counts.photos, run.counts.updated, run.photos["fetched"]) == (2, 2, 1)
    assert photo(world, people[1], people[0]) != before


async def test_the_same_photo_uploaded_again_is_written_nowhere() -> None:
    world, people = await staff()
    await world.run()
    world.clock.advance(timedelta(days=7))
    for number, user in enumerate(people[:-1]):
        world.tenant.set_photo(user, number)
    run = await world.run()
    assert (run.photos["fetched"], run.counts.photos, run.counts.updated) == (3, 0, 0)


async def test_a_photo_that_is_gone_goes_and_all_else_stays() -> None:
    world, people = await staff()
    await world.run()
    mailbox = people[0]
    (contact,) = world.ours(mailbox)[f"u:{people[1]}"]
    world.tenant.mailbox(mailbox).change(contact, {"personalNotes": "likes tea", "birthday": "1990-05-01T00:00:00Z"})
    world.tenant.set_photo(people[1], None)
    world.clock.advance(timedelta(days=7))
    run = await world.run()
    assert (run.state, run.counts.updated, run.counts.photos, run.counts.deleted) == (RunState.SUCCEEDED, 2, 2, 0)
    (after,) = world.ours(mailbox)[f"u:{people[1]}"]
    assert after.photo == b""
    assert {**after.values, "fileAs": ""} == {**contact.values, "fileAs": ""}
    world.cloud.counters.reset()
    again = await world.run()
    assert again.counts == type(again.counts)()
    assert world.cloud.counters.mailboxes.total() == 0


async def test_a_photo_that_the_user_gave_stays_where_we_gave_none() -> None:
    world, people = await staff()
    await world.run()
    (contact,) = world.ours(people[0])[f"u:{people[-1]}"]
    contact.photo = drawn(5, 48)
    world.tenant.mailbox(people[0]).touch(contact)
    for _ in range(8):
        world.clock.advance(timedelta(days=1))
        await world.run(check=Check.CHANGES)
    assert photo(world, people[0], people[-1]) == drawn(5, 48)


@pytest.mark.parametrize("sync", [SYNC, None])
async def test_after_a_purge_no_photo_is_written_again(sync: str | None) -> None:
    world, _ = await staff()
    await world.run()
    await world.context.purge(TENANT, sync)
    world.cloud.counters.reset()
    run = await world.run()
    assert (run.counts.photos, run.counts.updated, world.cloud.counters.templates[PUT]) == (0, 0, 0)
    assert run.photos["fetched"] == 3


async def test_purge_after_every_sync() -> None:
    world, people = await staff(purge_after_sync=True)
    for expected in (6, 0, 0):
        run = await world.run()
        assert (run.state, run.counts.photos) == (RunState.SUCCEEDED, expected)
    world.tenant.set_photo(people[0], 99)
    assert (await world.run()).counts.photos == 2


async def test_without_the_permission_the_sync_goes_on_and_says_so() -> None:
    world, people = await staff(12)
    world.tenant.app.permissions -= {"ProfilePhoto.Read.All"}
    run = await world.run()
    assert (run.state, run.counts.created, run.counts.photos) == (RunState.SUCCEEDED, 24, 0)
    assert (run.photo_problem, run.photos["unknown"]) == ("consent_missing", 12)
    world.tenant.app.permissions |= {"ProfilePhoto.Read.All"}
    world.clock.advance(timedelta(hours=2))  # until the token that has it
    run = await world.run()
    assert (run.counts.photos, run.photo_problem, run.counts.created) == (22, "", 0)
    assert photo(world, people[0], people[0])


async def test_where_permission_is_lost_photos_stay() -> None:
    world, people = await staff(12)
    await world.run()
    world.tenant.app.permissions -= {"ProfilePhoto.Read.All"}
    await world.context.purge(TENANT, None)
    world.tenant.change_user(people[0], {"department": "Legal"})
    world.clock.advance(timedelta(hours=2))
    run = await world.run()
    assert (run.counts.updated, run.counts.photos, run.photo_problem) == (2, 0, "consent_missing")
    world.tenant.app.permissions |= {"ProfilePhoto.Read.All"}
    world.clock.advance(timedelta(hours=2))
    run = await world.run()
    assert (run.counts.updated, run.counts.photos) == (0, 0)
    assert photo(world, people[1], people[0])


@pytest.mark.parametrize("content", [b"no image at all", drawn(3, 648)[:500], b"?" * 5_000_000])
async def test_a_broken_image_is_counted_and_left_out(content: bytes) -> None:
    world, people = await staff()
    await world.run()
    before = photo(world, people[0], people[0])
    world.tenant.set_photo(people[0], content)
    world.clock.advance(timedelta(days=7))
    run = await world.run()
    assert (run.state, run.photos["unreadable"], run.counts.photos) == (RunState.SUCCEEDED, 1, 0)
    assert photo(world, people[0], people[0]) == before


async def test_a_small_photo_and_one_of_the_directory_are_taken_as_they_are() -> None:
    world, people = await staff(4, mailboxes=2)
    world.tenant.set_photo(people[0], drawn(1, 100))
    world.tenant.set_photo(people[3], drawn(2, 700))  # no mailbox: from the directory
    await world.run()
    assert Image.open(BytesIO(photo(world, people[0], people[0]))).size == (100, 100)
    assert Image.open(BytesIO(photo(world, people[0], people[3]))).size == (240, 240)


async def test_switched_on_for_a_sync_that_runs_already_and_off_again() -> None:
    world, people = await staff(photos="none")
    await world.run()
    await world.define(PHOTOS)
    run = await world.run()
    assert (run.counts.updated, run.counts.photos, run.counts.created) == (6, 6, 0)
    await world.define({"photos": "none"})
    world.cloud.counters.reset()
    run = await world.run()
    assert world.cloud.counters.mailboxes.total() == 0
    world.tenant.change_user(people[0], {"department": "Legal"})
    assert (await world.run()).counts.updated == 2
    assert photo(world, people[1], people[0])
    await world.define(PHOTOS)
    run = await world.run()
    assert (run.counts.updated, run.counts.photos) == (0, 0)


async def test_a_refused_photo_leaves_the_contact_and_the_mailbox_in_peace() -> None:
    world, people = await staff()
    world.cloud.faults.add(Fault(FaultKind.ERROR, times=1, status=400, code="ErrorInvalidImage", method="PUT"))
    run = await world.run()
    assert (run.state, run.counts.photos, run.counts.created) == (RunState.SUCCEEDED, 5, 8)
    await world.context.purge(TENANT, None)
    world.clock.advance(timedelta(days=1))
    assert (await world.run()).counts.photos == 1
    assert all(photo(world, mailbox, user) for mailbox in people[:2] for user in people[:-1])


async def test_photos_are_read_anew_before_they_are_sixty_days_old() -> None:
    world, _ = await staff()
    await world.run()
    fetched = 0
    for _ in range(60):
        world.clock.advance(timedelta(days=1))
        run = await world.run()
        fetched += run.photos["fetched"]
        assert run.counts.photos == run.counts.updated == 0
    assert fetched == 3


async def test_reading_goes_on_in_the_next_run_when_it_takes_long() -> None:
    world, people = await staff(150, mailboxes=1)
    world.cloud.faults.add(Fault(FaultKind.LATENCY, path="/photos?(/|$)", delay=40))
    first = await world.run()
    assert first.photos["unknown"] == 50
    last = await world.last_run()
    assert (last.run, last.photos["unknown"]) != (first.run, 50)
    assert [user for user in people[:-1] if not photo(world, people[0], user)] == []


async def test_a_preview_shows_what_becomes_of_photos_and_writes_nothing() -> None:
    world, people = await staff()
    first = await shown(world)
    assert [change.after.get("photo") for change in first.mailboxes[0].changes].count("new") == 3
    assert first.photos["fetched"] == 3
    await world.run()
    assert not (await shown(world)).mailboxes[0].changes
    world.clock.advance(timedelta(days=7))
    world.tenant.set_photo(people[0], 88)
    world.tenant.set_photo(people[1], None)
    changes = {change.key: change for change in (await shown(world)).mailboxes[0].changes}
    replaced, removed = changes[f"u:{people[0]}"], changes[f"u:{people[1]}"]
    assert (replaced.before, replaced.after) == ({"photo": "ours"}, {"photo": "new"})
    assert (removed.before, removed.after) == ({"photo": "ours"}, {"photo": None})
