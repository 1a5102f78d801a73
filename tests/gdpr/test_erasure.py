"""Erasure of a person: from everywhere, whatever dies or runs at the same time, and for good."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gdpr import audit_trail
from gdpr.audit_check import verify
from gdpr.requests import Request, RequestKind, RequestState
from gdpr.retention import purge_caches
from gdpr.subject import find_people
from sync_core.choices import Choice
from sync_core.engine import admin, runs, uploads
from sync_core.hiding import CardField
from sync_core.model import RunState
from sync_core.state.choices import load_choices, load_hidden, save_choice, save_hidden
from sync_core.state.names import AUDIT, REQUESTS, SUPPRESSIONS
from sync_core.state.replicas import all_replicas, load_replica, save_replicas
from sync_core.state.suppressions import lift
from sync_core.suppression import by_key, by_mail
from tests.engine.world import SYNC, TENANT, World
from tests.gdpr.privacy import DEATHS_EVERY, asked, done, dying, everywhere, operations

ANNA = "anna.berg@example.com"


async def with_people(world: World, definition: dict[str, object] | None = None) -> tuple[str, str]:
    anna, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    world.hire("Carl Uhl")
    await world.connect(definition)
    await world.run()
    return anna, ben


async def test_a_person_is_erased_from_everywhere_with_two_requests_per_mailbox() -> None:
    world = World()
    anna, ben = await with_people(world)
    assert len(everywhere(world, "Anna")) == 3
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert request.state is RequestState.DONE
    assert everywhere(world, "Anna") == []
    assert world.names(ben) == ["Ben Ohm", "Carl Uhl"]
    assert await find_people(world.context, TENANT, [by_mail(ANNA), by_key(f"u:{anna}")]) == {}
    assert request.counts["itemsRemoved"] == request.counts["mailboxes"] == 3
    assert request.counts["requests"] == 6
    assert "itemsInDeletedItems" not in request.counts
    again = await world.run()
    assert (again.counts.created, again.counts.updated, again.counts.deleted) == (0, 0, 0)
    world.clock.advance(timedelta(days=8))  # the directory is read in full, and mailboxes are looked at
    await world.run()
    assert everywhere(world, "Anna") == []
    assert await find_people(world.context, TENANT, [by_mail(ANNA)]) == {}


async def test_the_receipt_is_chained_and_names_nobody() -> None:
    world = World()
    anna, _ = await with_people(world)
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    [receipt] = [entry async for entry in audit_trail.entries(world.context, TENANT)]
    assert (receipt.sequence, receipt.hash, receipt.action) == (request.receipt, request.receipt_hash, "erasure.done")
    assert (await verify(world.context, TENANT)).sound
    assert receipt.details
    assert receipt.details["after"]["counts"]["mailboxes"] == 3
    assert any("hold" in line for line in receipt.details["after"]["remains"])
    for text in (anna, "anna", "Anna", "Berg"):
        assert text not in repr(receipt)
        for table in (AUDIT, REQUESTS, SUPPRESSIONS):
            assert text not in repr([entity async for entity in world.tables.query(table, TENANT)])
    assert request.subject.identifiers == request.subject.keys == []


@pytest.mark.parametrize("ledgers", [True, False])
async def test_without_caches_the_person_is_found_in_the_mailboxes_themselves(ledgers: bool) -> None:
    world = World()
    anna, ben = await with_people(world)
    await purge_caches(world.tables, TENANT)
    asked_for = await asked(world, RequestKind.ERASURE, ANNA, ids=(anna,) if ledgers else ())
    assert asked_for.subject.keys == []
    request = await done(world, asked_for)
    assert request.state is RequestState.DONE
    assert everywhere(world, "Anna") == []
    await world.run()
    assert world.names(ben) == ["Ben Ohm", "Carl Uhl"]


async def test_in_the_default_folder_only_ours_is_removed() -> None:
    world = World()
    ben = world.hire("Ben Ohm")
    box = world.tenant.mailbox(ben)
    box.create(box.contacts, {"displayName": "Anna Private", "emailAddresses": [{"address": ANNA}]}, {})
    world.hire("Anna Berg", mailbox="none")
    await world.connect({"folder": None})
    await world.run()
    await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert [contact.values["displayName"] for contact in everywhere(world, "Anna")] == ["Anna Private"]


async def test_what_a_cloud_without_permanent_delete_leaves_in_deleted_items_is_counted() -> None:
    world = World(permanent_delete=False)
    await with_people(world)
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    left = everywhere(world, "Anna")
    assert {contact.folder.name for contact in left} == {"Deleted Items"}
    assert request.counts["itemsInDeletedItems"] == len(left) == 3


async def test_an_upload_is_cleaned_and_cleaned_again_when_it_is_sent_again() -> None:
    csv = b"Display name,E-mail address\nGuest One,guest.one@elsewhere.example\nGuest Two,guest.two@elsewhere.example\n"
    world = World()
    ben = world.hire("Ben Ohm")
    await world.connect({"sources": [{"kind": "file", "id": "guests"}]})
    await uploads.upload_file(world.context, TENANT, "guests", csv, "text/csv")
    await world.run()
    request = await done(world, await asked(world, RequestKind.ERASURE, "guest.one@elsewhere.example"))
    assert request.counts["sourcePages"] == 1
    assert await find_people(world.context, TENANT, [by_mail("guest.one@elsewhere.example")]) == {}
    await uploads.upload_file(world.context, TENANT, "guests", csv, "text/csv")
    await world.run()
    assert world.names(ben) == ["Guest Two"]
    assert await find_people(world.context, TENANT, [by_mail("guest.one@elsewhere.example")]) == {}


async def test_an_address_that_others_share_is_not_suppressed() -> None:
    world = World()
    ben = world.hire("Ben Ohm", proxyAddresses=["SMTP:ben.ohm@example.com", "smtp:sales@example.com"])
    world.hire("Anna Berg", proxyAddresses=["SMTP:anna.berg@example.com", "smtp:sales@example.com"])
    await world.connect()
    await world.run()
    await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    await world.run()
    assert world.names(ben) == ["Ben Ohm"]


async def test_a_paused_sync_is_cleaned_too() -> None:
    world = World()
    _, ben = await with_people(world)
    await admin.pause_sync(world.context, TENANT, SYNC)
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert request.state is RequestState.DONE
    await world.run()
    assert world.names(ben) == ["Ben Ohm", "Carl Uhl"]


async def test_it_waits_for_a_mailbox_that_a_worker_holds() -> None:
    world = World()
    _, ben = await with_people(world)
    replica = await load_replica(world.tables, TENANT, SYNC, ben)
    assert replica
    replica.owner, replica.owned_until = "somebody", world.clock.now() + timedelta(minutes=9)
    await save_replicas(world.tables, TENANT, SYNC, [replica])
    request = await asked(world, RequestKind.ERASURE, ANNA)
    before = world.clock.now()
    request = await done(world, request)
    assert request.state is RequestState.DONE
    assert world.clock.now() - before >= timedelta(minutes=9)
    assert everywhere(world, "Anna") == []


async def test_a_mailbox_out_of_reach_is_named_and_cleaned_when_it_comes_back() -> None:
    world = World()
    _, ben = await with_people(world)
    world.tenant.set_mailbox_state(ben, "outOfScope")
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert request.state is RequestState.DONE
    assert request.counts["mailboxesUnreachable"] == 1
    world.tenant.set_mailbox_state(ben, "ok")
    await world.run()
    assert everywhere(world, "Anna") == []


@pytest.mark.parametrize("kind", [RequestKind.RESTRICTION, RequestKind.OBJECTION])
async def test_restriction_and_objection_take_the_person_off_the_phones_and_can_be_lifted(kind: RequestKind) -> None:
    world = World()
    _, ben = await with_people(world)
    request = await done(world, await asked(world, kind, ANNA))
    assert request.state is RequestState.DONE
    assert everywhere(world, "Anna") == []
    await world.run()
    assert everywhere(world, "Anna") == []
    await lift(world.tables, TENANT, request.request)
    await world.run()
    assert world.names(ben) == ["Anna Berg", "Ben Ohm", "Carl Uhl"]


async def beside_a_run(world: World) -> Request:
    """An erasure that waits, and a run that somebody asked for."""
    await with_people(world)
    request = await asked(world, RequestKind.ERASURE, ANNA)
    world.hire("Dora Neu")
    await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    return request


async def test_it_survives_a_death_at_any_step_beside_a_running_sync() -> None:
    world = World()
    total = await operations(world, await beside_a_run(world))
    assert total > 100
    for at in range(0, total, DEATHS_EVERY):
        world = World()
        request = await dying(world, await beside_a_run(world), at)
        assert request.state is RequestState.DONE, at
        assert everywhere(world, "Anna") == [], at
        assert await find_people(world.context, TENANT, [by_mail(ANNA)]) == {}, at
        verdict = await verify(world.context, TENANT)
        assert (verdict.sound, verdict.entries) == (True, 1), at
        await world.run()
        (ben,) = (user["id"] for user in world.tenant.directory.users.objects.values() if user["displayName"] == "Ben Ohm")
        assert world.names(ben) == ["Ben Ohm", "Carl Uhl", "Dora Neu"], at
        assert everywhere(world, "Anna") == [], at
        assert all([not one.owner async for one in all_replicas(world.tables, TENANT, SYNC)]), at


async def test_no_push_brings_the_person_back() -> None:
    world = World()
    ben = world.hire("Ben Ohm")
    await world.connect({"sources": [{"kind": "push", "id": "crm"}]})
    one, two = ({"id": name, "displayName": name, "mail": f"{name}@elsewhere.example"} for name in ("one", "two"))
    assert await uploads.replace_items(world.context, TENANT, "crm", [one, two]) == []
    await world.run()
    assert world.names(ben) == ["one", "two"]
    await done(world, await asked(world, RequestKind.ERASURE, "one@elsewhere.example"))
    for again in ({"id": "one"}, {"id": "other id"}):
        await uploads.put_item(world.context, TENANT, "crm", {**one, **again})
        await world.run()
        assert world.names(ben) == ["two"]
    assert await find_people(world.context, TENANT, [by_mail("one@elsewhere.example")]) == {}


async def test_no_release_of_a_held_run_brings_the_person_back() -> None:
    world = World()
    mailboxes = world.hire_many(30)
    world.hire("Anna Berg")
    await world.connect()
    await world.run()
    for mailbox in mailboxes[:15]:
        world.tenant.change_user(mailbox, {"accountEnabled": False})
    held = await world.run()
    assert held.state is RunState.HELD
    await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert everywhere(world, "Anna") == []
    await runs.release(world.context, TENANT, held.run)
    await world.settle()
    assert everywhere(world, "Anna") == []
    assert len(world.names(mailboxes[20])) == 15


async def test_what_the_person_chose_is_forgotten_too() -> None:
    world = World()
    anna, ben = await with_people(world, {"self_service": {"list": "opt_out"}})
    for user in (anna, ben):
        await save_choice(world.tables, TENANT, SYNC, user, Choice.OFF)
        await save_hidden(world.tables, TENANT, user, [CardField.PHOTO])
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert request.counts["choices"] == 2
    assert set(await load_choices(world.tables, TENANT, SYNC)) == set(await load_hidden(world.tables, TENANT)) == {ben}
