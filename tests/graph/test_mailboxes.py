"""Folders and items of a mailbox, against the stand-in for Microsoft 365."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import MailboxState
from sync_core.contacts import OWNED_FIELDS
from sync_core.errors import (
    AnswerLostError,
    ConflictError,
    DeltaExpiredError,
    LedgerDoubtError,
    MailboxError,
    MailboxGoneError,
    ParkedError,
    Reason,
    TransientError,
)
from sync_core.marks import FINGERPRINT_PROPERTY, KEY_PROPERTY, RELEASED
from sync_core.model import Create, Delete, Folder, SeenItem, Update
from sync_core.ports import Mailboxes
from tests.graph.canned import TENANT
from tests.graph.conftest import World

MARK = "inst/sync/u:1"
FOLDER_MARK = "inst/sync/"


def body(name: str, mark: str = MARK, fingerprint: str = "k1.abc") -> bytes:
    return orjson.dumps(
        {
            "displayName": name,
            "mobilePhone": "+49 151 1",
            "singleValueExtendedProperties": [
                {"id": KEY_PROPERTY, "value": mark},
                {"id": FINGERPRINT_PROPERTY, "value": fingerprint},
            ],
        }
    )


async def replica(mailboxes: Mailboxes, user: str, *names: str) -> tuple[Folder, list[str]]:
    folder = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    made = await mailboxes.write(user, folder.folder_id, [Create(name, body(name, f"inst/sync/u:{name}")) for name in names])
    return folder, [outcome.item_id for outcome in made]


async def test_a_folder_is_made_with_our_mark_and_found_by_it(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    theirs = world.tenant.mailbox(user).create_folder(world.tenant.folder(user, "contacts"), "Theirs", {})
    made = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    found = await mailboxes.folders(user)
    default = await mailboxes.folder(user, "contacts")
    assert default is not None
    assert {(folder.folder_id, folder.name, folder.mark) for folder in found} == {
        (theirs.id, "Theirs", None),
        (made.folder_id, "Colleagues", FOLDER_MARK),
    }
    assert {folder.parent_id for folder in found} == {default.folder_id}
    assert await mailboxes.folder(user, made.folder_id) == made
    assert await mailboxes.child_folders(user, made.folder_id) == []


async def test_a_nested_folder_is_found_below_its_parent(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    box = world.tenant.mailbox(user)
    made = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    parent = box.create_folder(box.contacts, "Parent", {})
    box.move_folder(world.tenant.folder(user, made.folder_id), parent)
    assert [folder.name for folder in await mailboxes.folders(user)] == ["Parent"]
    assert await mailboxes.child_folders(user, parent.id) == [Folder(made.folder_id, "Colleagues", parent.id, FOLDER_MARK)]


async def test_many_folders_come_over_several_pages(world: World) -> None:
    user = world.users[0]
    box = world.tenant.mailbox(user)
    for number in range(230):
        box.create_folder(box.contacts, f"F{number}", {})
    assert len(await world.mailboxes().folders(user)) == 230


async def test_a_taken_name_is_a_conflict_and_a_lost_answer_is_not_repeated(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    with pytest.raises(ConflictError):
        await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    lost = world.fault(Fault(FaultKind.LOST, times=1, method="POST", template="/users/{id}/contactFolders"))
    with pytest.raises(AnswerLostError):
        await mailboxes.create_folder(user, "Others", FOLDER_MARK)
    assert lost.fired == 1
    assert sorted(folder.name for folder in await mailboxes.folders(user)) == ["Colleagues", "Others"]


async def test_a_folder_that_is_gone_is_none_and_no_error_to_delete_or_unmark(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    await mailboxes.unmark_folder(user, folder.folder_id)
    unmarked = await mailboxes.folder(user, folder.folder_id)
    assert unmarked is not None
    assert unmarked.mark == RELEASED
    for _ in range(2):
        await mailboxes.delete_folder(user, folder.folder_id)
    await mailboxes.unmark_folder(user, folder.folder_id)
    assert await mailboxes.folder(user, folder.folder_id) is None
    assert list(world.tenant.deleted_contacts(user)) == []
    with pytest.raises(LedgerDoubtError):
        await mailboxes.child_folders(user, folder.folder_id)


async def test_items_are_created_updated_read_and_removed_for_good(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann, ben) = await replica(mailboxes, user, "ann", "ben")
    outcomes = await mailboxes.write(
        user, folder.folder_id, [Update("ann", ann, body("Ann B.", "inst/sync/u:ann", "k1.def")), Delete("ben", ben)]
    )
    assert [(outcome.item_id, outcome.error) for outcome in outcomes] == [(ann, None), ("", None)]
    (page,) = [page async for page in mailboxes.items(user, folder.folder_id, fields=OWNED_FIELDS)]
    (item,) = page
    assert (item.item_id, item.folder_id, item.mark, item.fingerprint) == (ann, folder.folder_id, "inst/sync/u:ann", "k1.def")
    assert item.fields is not None
    assert set(item.fields) == set(OWNED_FIELDS)
    assert item.fields["displayName"] == "Ann B."
    assert list(world.tenant.deleted_contacts(user)) == []


async def test_without_permanent_delete_items_go_to_deleted_items(world: World) -> None:
    mailboxes = world.open(permanent_delete=False).mailboxes(TENANT)
    user = world.users[0]
    folder, (ann,) = await replica(mailboxes, user, "ann")
    (outcome,) = await mailboxes.write(user, folder.folder_id, [Delete("ann", ann)])
    assert outcome.error is None
    assert len(list(world.tenant.deleted_contacts(user))) == 1


async def test_without_fields_nothing_of_an_item_is_read_but_ids_and_our_properties(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, _ = await replica(mailboxes, user, "ann")
    (page,) = [page async for page in mailboxes.items(user, folder.folder_id)]
    assert page[0].fields is None
    assert (page[0].mark, page[0].folder_id, page[0].created) == ("inst/sync/u:ann", "", "")


async def test_a_large_folder_comes_page_by_page_within_the_budget(world: World) -> None:
    user = world.users[0]
    mailboxes = world.mailboxes()
    folder = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    box = world.tenant.mailbox(user)
    for number in range(2100):
        box.create(world.tenant.folder(user, folder.folder_id), {"displayName": str(number)}, {})
    before = mailboxes.spent.requests
    pages = [len(page) async for page in mailboxes.items(user, folder.folder_id)]
    assert pages == [999, 999, 102]
    assert mailboxes.spent.requests - before == 3


async def test_items_are_looked_at_wherever_they_lie_twenty_to_a_call(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    _, (ann, ben) = await replica(mailboxes, user, "ann", "ben")
    box = world.tenant.mailbox(user)
    box.move(box.find(ann), box.contacts)
    box.delete(box.find(ben), permanently=True)
    before = mailboxes.spent.http_calls
    seen = await mailboxes.look(user, [ben, *[ann] * 19], fields=["displayName"])
    assert mailboxes.spent.http_calls - before == 1
    assert seen[0] is None
    assert {
        (item.item_id, item.folder_id, item.mark, item.fields["displayName"]) for item in seen[1:] if item and item.fields
    } == {(ann, box.contacts.id, "inst/sync/u:ann", "ann")}
    assert await mailboxes.look(user, []) == []


async def test_a_look_without_fields_tells_marks_alone(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    _, (ann,) = await replica(mailboxes, user, "ann")
    (seen,) = await mailboxes.look(user, [ann])
    assert seen == SeenItem(ann, "", "", "inst/sync/u:ann", "k1.abc")


async def test_a_folder_gets_another_name_unless_it_is_taken(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, _ = await replica(mailboxes, user, "ann")
    world.tenant.mailbox(user).create_folder(world.tenant.folder(user, "contacts"), "Theirs", {})
    await mailboxes.rename_folder(user, folder.folder_id, "Team")
    renamed = await mailboxes.folder(user, folder.folder_id)
    assert renamed is not None
    assert (renamed.name, renamed.mark) == ("Team", FOLDER_MARK)
    with pytest.raises(ConflictError):
        await mailboxes.rename_folder(user, folder.folder_id, "Theirs")


async def test_find_gives_exactly_the_items_with_the_mark(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    marks = ["inst/sync/u:1", "INST/sync/u:1", "inst/sync/u:12", "o'neill/sync/u:1"]
    await mailboxes.write(user, folder.folder_id, [Create(mark, body("x", mark)) for mark in marks])
    for mark in marks:
        assert [item.mark for item in await mailboxes.find(user, folder.folder_id, mark)] == [mark]
    assert await mailboxes.find(user, folder.folder_id, "inst/sync/u:9") == []


async def test_unmarking_takes_both_properties_off_and_leaves_the_rest(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    _, (ann,) = await replica(mailboxes, user, "ann")
    await mailboxes.unmark(user, ann)
    seen = await mailboxes.item(user, ann)
    assert seen is not None
    assert (seen.mark, seen.fingerprint) == (RELEASED, RELEASED)
    assert world.tenant.mailbox(user).find(ann).values["displayName"] == "ann"
    world.tenant.mailbox(user).delete(world.tenant.mailbox(user).find(ann), permanently=True)
    await mailboxes.unmark(user, ann)


async def test_changes_tell_everything_first_and_then_what_changed(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, items = await replica(mailboxes, user, "ann", "ben", "cem")
    first = [page async for page in mailboxes.changes(user, folder.folder_id, None)]
    assert {change.item_id for page in first for change in page.changes} == set(items)
    link = first[-1].delta_link
    assert link is not None
    box = world.tenant.mailbox(user)
    box.change(box.find(items[0]), {"displayName": "Edited"}, {})
    box.delete(box.find(items[1]))
    second = [page async for page in mailboxes.changes(user, folder.folder_id, link)]
    changes = {change.item_id: change for page in second for change in page.changes}
    assert set(changes) == {items[0], items[1]}
    assert changes[items[0]].fields["displayName"] == "Edited"
    assert set(changes[items[0]].fields) <= set(OWNED_FIELDS)
    assert changes[items[1]].removed


async def test_a_delta_of_many_items_takes_one_request_for_each_200(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder = await mailboxes.create_folder(user, "Colleagues", FOLDER_MARK)
    box = world.tenant.mailbox(user)
    for number in range(450):
        box.create(world.tenant.folder(user, folder.folder_id), {"displayName": str(number)}, {})
    before = mailboxes.spent.requests
    pages = [page async for page in mailboxes.changes(user, folder.folder_id, None)]
    assert sum(len(page.changes) for page in pages) == 450
    assert mailboxes.spent.requests - before <= 4
    assert [page.delta_link is not None for page in pages] == [False] * (len(pages) - 1) + [True]


async def test_an_old_or_foreign_delta_link_has_expired(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, _ = await replica(mailboxes, user, "ann")
    pages = [page async for page in mailboxes.changes(user, folder.folder_id, None)]
    link = pages[-1].delta_link
    assert link is not None
    with pytest.raises(DeltaExpiredError):
        _ = [page async for page in mailboxes.changes(user, folder.folder_id, link.replace("127.0.0.1", "graph.example"))]
    expired = world.fault(Fault(FaultKind.TOKEN_EXPIRED, times=1))
    with pytest.raises(DeltaExpiredError):
        _ = [page async for page in mailboxes.changes(user, folder.folder_id, link)]
    assert expired.fired == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (MailboxState.NONE, Reason.NO_MAILBOX),
        (MailboxState.ON_PREMISES, Reason.NO_MAILBOX),
        (MailboxState.OUT_OF_SCOPE, Reason.OUT_OF_SCOPE),
    ],
)
async def test_a_mailbox_that_cannot_be_served_says_why(world: World, state: MailboxState, reason: Reason) -> None:
    world.tenant.set_mailbox_state(world.users[0], state)
    with pytest.raises(MailboxError) as caught:
        await world.mailboxes().folders(world.users[0])
    assert caught.value.reason is reason
    (outcome,) = await world.mailboxes().write(world.users[0], "contacts", [Create("a", body("a"))])
    assert isinstance(outcome.error, MailboxError)
    assert outcome.error.reason is reason


async def test_a_full_mailbox_refuses_creates_but_not_reading(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann,) = await replica(mailboxes, user, "ann")
    world.tenant.set_mailbox_state(user, MailboxState.FULL)
    outcomes = await mailboxes.write(user, folder.folder_id, [Create("b", body("b")), Delete("ann", ann)])
    assert isinstance(outcomes[0].error, MailboxError)
    assert outcomes[0].error.reason is Reason.QUOTA_FULL
    assert outcomes[1].error is None


async def test_a_mailbox_on_the_move_is_told_apart(world: World) -> None:
    world.tenant.set_mailbox_state(world.users[0], MailboxState.MOVING)
    with pytest.raises(MailboxError) as caught:
        await world.mailboxes().folders(world.users[0])
    assert caught.value.reason is Reason.MAILBOX_MOVING


async def test_a_user_that_is_gone_has_no_mailbox(world: World) -> None:
    world.tenant.remove_user(world.users[0], permanently=True)
    with pytest.raises(MailboxGoneError):
        await world.mailboxes().folders(world.users[0])


async def test_one_bad_item_stands_in_its_own_outcome(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann, ben) = await replica(mailboxes, user, "ann", "ben")
    box = world.tenant.mailbox(user)
    box.delete(box.find(ben), permanently=True)
    outcomes = await mailboxes.write(
        user,
        folder.folder_id,
        [
            Update("ben", ben, body("Ben")),
            Create("bad", orjson.dumps({"noSuchProperty": 1})),
            Update("ann", ann, body("Ann")),
            Delete("ben", ben),
        ],
    )
    assert isinstance(outcomes[0].error, LedgerDoubtError)
    assert isinstance(outcomes[1].error, MailboxError)
    assert outcomes[1].error.reason is Reason.REFUSED
    assert [outcome.error for outcome in outcomes[2:]] == [None, None]


async def test_an_update_of_an_item_id_that_changed_puts_the_ledger_in_doubt(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann,) = await replica(mailboxes, user, "ann")
    world.tenant.change_item_ids(user)
    (outcome,) = await mailboxes.write(user, folder.folder_id, [Update("ann", ann, body("Ann"))])
    assert isinstance(outcome.error, LedgerDoubtError)


async def test_a_lost_answer_of_a_create_is_said_and_never_sent_again(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann,) = await replica(mailboxes, user, "ann")
    lost = world.fault(
        Fault(FaultKind.LOST, times=1, method="POST", answer="504", template="/users/{id}/contactFolders/{id}/contacts")
    )
    outcomes = await mailboxes.write(user, folder.folder_id, [Create("b", body("b")), Update("ann", ann, body("Ann"))])
    assert lost.fired == 1
    assert isinstance(outcomes[0].error, AnswerLostError)
    assert outcomes[1].error is None
    assert len(world.tenant.contacts(user, folder.folder_id)) == 2


async def test_a_create_that_commits_late_is_a_lost_answer(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, _ = await replica(mailboxes, user)
    world.fault(Fault(FaultKind.LATE, times=1, method="POST", delay=120))
    (outcome,) = await mailboxes.write(user, folder.folder_id, [Create("a", body("a"))])
    assert isinstance(outcome.error, AnswerLostError)
    assert world.tenant.contacts(user, folder.folder_id) == []
    world.clock.advance(timedelta(seconds=121))
    assert len(world.tenant.contacts(user, folder.folder_id)) == 1


async def test_a_whole_batch_without_an_answer_loses_creates_and_repeats_the_rest(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann, ben) = await replica(mailboxes, user, "ann", "ben")
    world.fault(Fault(FaultKind.LOST, times=1, scope="batch"))
    outcomes = await mailboxes.write(
        user, folder.folder_id, [Create("c", body("c")), Update("ann", ann, body("Ann")), Delete("ben", ben)]
    )
    assert isinstance(outcomes[0].error, AnswerLostError)
    assert [outcome.error for outcome in outcomes[1:]] == [None, None]
    assert len(world.tenant.contacts(user, folder.folder_id)) == 2


async def test_a_batch_that_never_left_is_sent_again_creates_and_all(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, _ = await replica(mailboxes, user)
    world.fault(Fault(FaultKind.DROPPED, times=2, scope="batch"))
    outcomes = await mailboxes.write(user, folder.folder_id, [Create("a", body("a")), Create("b", body("b"))])
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert len(world.tenant.contacts(user, folder.folder_id)) == 2


async def test_when_nothing_can_be_sent_the_error_is_raised(world: World) -> None:
    world.fault(Fault(FaultKind.DROPPED, scope="batch"))
    with pytest.raises(TransientError):
        await world.mailboxes().write(world.users[0], "contacts", [Create("a", body("a"))])


async def test_a_delete_answered_404_is_done(world: World) -> None:
    mailboxes = world.open(permanent_delete=False).mailboxes(TENANT)
    user = world.users[0]
    folder, (ann,) = await replica(mailboxes, user, "ann")
    struck = world.fault(Fault(FaultKind.DELETE_NOT_FOUND, times=1))
    (outcome,) = await mailboxes.write(user, folder.folder_id, [Delete("ann", ann)])
    assert struck.fired == 1
    assert outcome.error is None


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_repeatable_requests_outlast_a_few_server_errors(world: World, status: int) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann, ben) = await replica(mailboxes, user, "ann", "ben")
    world.fault(Fault(FaultKind.ERROR, times=3, status=status))
    outcomes = await mailboxes.write(user, folder.folder_id, [Update("ann", ann, body("Ann")), Delete("ben", ben)])
    assert [outcome.error for outcome in outcomes] == [None, None]


async def test_repeatable_requests_do_not_go_on_for_ever(world: World) -> None:
    mailboxes = world.mailboxes()
    user = world.users[0]
    folder, (ann,) = await replica(mailboxes, user, "ann")
    world.fault(Fault(FaultKind.ERROR, status=503))
    (outcome,) = await mailboxes.write(user, folder.folder_id, [Update("ann", ann, body("Ann"))])
    assert isinstance(outcome.error, TransientError)
    assert not isinstance(outcome.error, ParkedError)
    with pytest.raises(TransientError):
        await mailboxes.folders(user)


async def test_nothing_to_write_costs_nothing(world: World) -> None:
    mailboxes = world.mailboxes()
    assert await mailboxes.write(world.users[0], "contacts", []) == []
    assert mailboxes.spent.requests == 0
    with pytest.raises(ValueError, match="1 to 20"):
        await mailboxes.write(world.users[0], "contacts", [Delete("a", "b")] * 21)
