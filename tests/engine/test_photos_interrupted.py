"""Photos where work breaks off, answers are lost and contacts vanish: in the end each contact has the photo it should have."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from local.m365.faults import Fault, FaultKind
from local.m365.photos import drawn
from sync_core import marks
from sync_core.engine import runs
from sync_core.fingerprints import Fingerprinter
from sync_core.model import RunState
from tests.engine.hazards import Fuse, Hazards, Site
from tests.engine.test_interruptions import request
from tests.engine.test_photos import PHOTOS, photo, staff
from tests.engine.world import TENANT

MOST_MOMENTS = 300
NOTE = "likes tea"


def colour(content: bytes) -> object:
    return Image.open(BytesIO(content)).getpixel((2, 2)) if content else None


def expected(site: Site, user: str) -> object:
    """The background of the picture that the person has now, about."""
    source = site.tenant.photos.get(user)
    return colour(drawn(int(source.source), 240)) if source is not None else None


def wrongs(site: Site, people: list[str]) -> list[str]:
    found: list[str] = []
    for mailbox in people:
        ours = site.ours(mailbox)
        found += [f"{mailbox} holds {key} {len(items)} times" for key, items in ours.items() if len(items) != 1]
        if len(ours) != len(people):
            found.append(f"{mailbox} holds {len(ours)} people")
        for user in people:
            contact = ours[f"u:{user}"][0]
            shown, wanted = colour(contact.photo), expected(site, user)
            near = shown == wanted or (shown and wanted and max(abs(a - b) for a, b in zip(shown, wanted, strict=True)) < 8)  # type: ignore[call-overload]
            if not near:
                found.append(f"{mailbox}: {user} has {shown} instead of {wanted}")
            if contact.values.get("personalNotes") not in ("", None, NOTE):
                found.append("a note was changed")
        if not [contact for items in ours.values() for contact in items if contact.values.get("personalNotes") == NOTE]:
            found.append(f"{mailbox}: the user's note is gone")
    return found


async def history(hazards: Hazards, fuse: Fuse, *, purged: bool = False) -> tuple[Site, list[str]]:
    """Photos come, change and go while `fuse` is lit; then a quiet run."""
    site = Site(hazards)
    people = [site.hire(f"Person Number{number}") for number in range(3)]
    site.tenant.set_photo(people[0], 1)
    site.tenant.set_photo(people[1], 2)
    await site.connect(PHOTOS)
    await request(site)
    for mailbox in people:
        (contact,) = site.ours(mailbox)[f"u:{people[1]}"]
        site.tenant.mailbox(mailbox).change(contact, {"personalNotes": NOTE})
    site.clock.advance(timedelta(days=8))
    site.tenant.set_photo(people[0], 3)
    site.tenant.set_photo(people[1], None)
    site.tenant.set_photo(people[2], 4)
    hazards.fuses.append(fuse)
    await request(site)
    hazards.fuses.clear()
    if purged:
        await site.purge()
    site.clock.advance(timedelta(days=1))
    await request(site)
    return site, people


@pytest.mark.parametrize(
    ("where", "purged"),
    [("during network", False), ("after network", False), ("before storage", False), ("after network", True)],
    ids=["during a request", "after a request", "at the storage", "after a request, and then purged"],
)
async def test_a_worker_may_be_killed_at_any_moment(where: str, purged: bool) -> None:
    for moment in range(1, MOST_MOMENTS, 5 if where == "before storage" else 1):
        hazards = Hazards()
        site, people = await history(hazards, Fuse(hazards.kill, moment, where), purged=purged)
        assert wrongs(site, people) == [], f"killed {where}, moment {moment}"
        if not hazards.fired["killed"]:
            assert moment > 3
            return
    raise AssertionError("there is no end to the moments")


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.ERROR, FaultKind.LATE])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE", "GET"])
async def test_answers_may_be_lost_late_or_bad(kind: FaultKind, method: str) -> None:
    for number in (2,):
        hazards = Hazards()
        site = Site(hazards)

        async def fail(site: Site = site, number: int = number) -> None:
            fault = Fault(kind, times=number, method=method, path="/contacts|/photo", status=503, answer="504", delay=300)
            site.cloud.faults.add(fault)

        people = [site.hire(f"Person Number{one}") for one in range(3)]
        for one, user in enumerate(people):
            site.tenant.set_photo(user, one)
        await site.connect(PHOTOS)
        if method in ("PUT", "POST", "GET"):
            await fail()
        await request(site)
        for mailbox in people:
            (contact,) = site.ours(mailbox)[f"u:{people[1]}"]
            site.tenant.mailbox(mailbox).change(contact, {"personalNotes": NOTE})
        site.tenant.set_photo(people[1], None)
        site.tenant.set_photo(people[2], 9)
        site.clock.advance(timedelta(days=8))
        await fail()
        await request(site)
        site.cloud.faults.clear()
        for _ in range(2):
            site.clock.advance(timedelta(days=1))
            await request(site)
        assert wrongs(site, people) == []


async def test_a_contact_deleted_before_it_gets_its_photo_comes_back_with_it() -> None:
    world, people = await staff()
    fault = Fault(FaultKind.ERROR, times=1, status=404, code="ErrorItemNotFound", method="PUT")
    world.cloud.faults.add(fault)
    await world.run()
    world.clock.advance(timedelta(days=1))
    run = await world.run()
    assert run.state is RunState.SUCCEEDED
    assert fault.fired == 1
    assert all(photo(world, mailbox, user) for mailbox in people[:2] for user in people[:-1])


async def test_a_mailbox_that_owes_a_photo_is_not_believed_by_its_marks_alone() -> None:
    world, people = await staff()
    world.cloud.faults.add(Fault(FaultKind.ERROR, status=503, method="PUT", mailbox=people[0]))
    await world.run()
    assert not photo(world, people[0], people[0])
    claims = [contact.extended[marks.FINGERPRINT_PROPERTY] for (contact,) in world.ours(people[0]).values()]
    keys = await world.context.keyring.keys(TENANT)
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id)
    assert any(fingerprinter.has_photo(claim) for claim in claims)
    world.cloud.faults.clear()
    await world.context.purge(TENANT, None)
    await runs.request_run(world.context, TENANT, "people", by_hand=True)
    await world.settle()
    assert all(photo(world, people[0], user) for user in people[:-1])


async def test_a_photo_that_graph_puts_off_is_written_when_graph_says() -> None:
    """The ledger is kept meanwhile: it must not believe the mark, which tells of the photo already."""
    world, people = await staff()
    fault = Fault(FaultKind.THROTTLED, times=8, method="PUT", path="/photo", retry_after=600)
    world.cloud.faults.add(fault)
    run = await world.run()
    assert (fault.fired, run.state, run.counts.photos) == (8, RunState.SUCCEEDED, 6)
    assert all(photo(world, mailbox, user) for mailbox in people[:2] for user in people[:3])
