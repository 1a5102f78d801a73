from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.buckets import bucket_of
from sync_core.errors import AnswerLostError, LedgerDoubtError, MailboxError, Reason, TransientError
from sync_core.marks import folder_mark, item_mark
from sync_core.model import Counts, Create, Delete, Held, Item, ItemChange, Operation, Outcome, SeenItem, Update
from sync_core.planning import Listing, after, compare_fields, in_place, judge_changes, plan, read_listing
from tests.sync_core.people import FINGERPRINTER

A, B, C = "u:a", "u:b", "u:c"
KNOWN = FINGERPRINTER.of({"displayName": "Anna"})
OTHER = FINGERPRINTER.of({"displayName": "Ann"})


def item(key: str, fingerprint: str = "1") -> Item:
    return Item(key, fingerprint, f"{key} {fingerprint}".encode())


def wanted(*items: Item) -> dict[str, Item]:
    return {one.key: one for one in items}


def seen(item_id: str, mark: str | None, created: str = "2026-01-01T00:00:00Z", fingerprint: str | None = KNOWN) -> SeenItem:
    return SeenItem(item_id, "folder", created, mark, fingerprint)


def ours(key: str) -> str:
    return item_mark("inst", "sync", key)


def listing(items: list[SeenItem], previous: dict[str, Held] | None = None, *, was_dirty: bool = False) -> Listing:
    return read_listing(items, previous or {}, installation="inst", sync="sync", was_dirty=was_dirty, fingerprinter=FINGERPRINTER)


# --- the plan ----------------------------------------------------------------------------------------------------------


def test_each_row_of_the_table() -> None:
    held = {"u:same": Held("1", "x"), "u:changed": Held("2", "x"), "u:unclear": Held("3", ""), "u:leaver": Held("4", "x")}
    snapshot = wanted(item("u:same", "x"), item("u:changed", "y"), item("u:unclear", "x"), item("u:new", "x"))
    assert plan(snapshot, held) == [
        Create("u:new", b"u:new x"),
        Update("u:changed", "2", b"u:changed y"),
        Update("u:unclear", "3", b"u:unclear x"),
        Delete("u:leaver", "4"),
    ]


def test_nobody_is_missing_while_a_plan_is_carried_out() -> None:
    operations = plan(wanted(item(C), item(A), item(B, "2")), {"u:z": Held("9", "1"), B: Held("2", "1"), "u:y": Held("8", "1")})
    assert [(type(operation), operation.key) for operation in operations] == [
        (Create, A), (Create, C), (Update, B), (Delete, "u:y"), (Delete, "u:z"),
    ]  # fmt: skip


keys = st.sampled_from([f"u:{number}" for number in range(8)])
fingerprints = st.sampled_from(["1", "2", ""])
snapshots = st.dictionaries(keys, st.sampled_from(["1", "2"])).map(
    lambda of: {key: item(key, value) for key, value in of.items()}
)
ledgers = st.dictionaries(keys, fingerprints).map(lambda of: {key: Held(f"id {key}", value) for key, value in of.items()})


def succeed(operations: list[Operation]) -> list[Outcome]:
    return [Outcome("" if isinstance(operation, Delete) else f"id {operation.key}") for operation in operations]


@given(snapshots, ledgers)
def test_a_plan_carried_out_leaves_what_is_wanted_and_nothing_to_do(snapshot: dict[str, Item], held: dict[str, Held]) -> None:
    operations = plan(snapshot, held)
    result = after(held, operations, succeed(operations), snapshot)
    assert result.held == {key: Held(f"id {key}", one.fingerprint) for key, one in snapshot.items()}
    assert plan(snapshot, result.held) == []
    assert result.counts.created + result.counts.updated + result.counts.deleted == len(operations)
    assert not result.failed


@given(snapshots, ledgers)
def test_a_plan_touches_no_more_than_differs(snapshot: dict[str, Item], held: dict[str, Held]) -> None:
    operations = plan(snapshot, held)
    touched = [operation.key for operation in operations]
    assert len(touched) == len(set(touched))
    right = {key for key, one in snapshot.items() if key in held and held[key].fingerprint == one.fingerprint}
    assert set(touched) == (snapshot.keys() | held.keys()) - right
    # Neither the order in which keys came nor a second planning makes a difference
    assert operations == plan(dict(reversed(snapshot.items())), dict(reversed(held.items())))


@given(snapshots, ledgers, st.data())
def test_work_that_breaks_off_is_resumed_without_repeating_any(
    snapshot: dict[str, Item], held: dict[str, Held], data: st.DataObject
) -> None:
    operations = plan(snapshot, held)
    done = data.draw(st.integers(0, len(operations)))
    result = after(held, operations[:done], succeed(operations[:done]), snapshot)
    assert plan(snapshot, result.held) == operations[done:]


# --- people whose keys change ------------------------------------------------------------------------------------------


def test_a_person_who_gains_a_source_keeps_the_item() -> None:
    both = item("o:2+u:a")
    operations = in_place(plan(wanted(both, item(C)), {A: Held("1", "1"), B: Held("2", "1")}))
    assert operations == [Update("o:2+u:a", "1", both.body, was=A), Create(C, b"u:c 1"), Delete(B, "2")]


def test_on_a_split_the_item_stays_with_the_first_key() -> None:
    operations = in_place(plan(wanted(item("o:2"), item(A)), {"o:2+u:a": Held("1", "1")}))
    assert operations == [Update("o:2", "1", b"o:2 1", was="o:2+u:a"), Create(A, b"u:a 1")]


def test_plans_of_several_buckets_come_together() -> None:
    gone, new = plan({}, {A: Held("1", "1")}), plan(wanted(item("o:2+u:a")), {})
    for operations in (gone + new, new + gone):
        assert in_place(operations) == [Update("o:2+u:a", "1", b"o:2+u:a 1", was=A)]


def test_a_ledger_forgets_the_old_key_with_the_update() -> None:
    both = item("o:2+u:a", "2")
    result = after({A: Held("1", "1"), B: Held("2", "1")}, [Update(both.key, "1", both.body, was=A)], [Outcome()], wanted(both))
    assert result.held == {both.key: Held("1", "2"), B: Held("2", "1")}
    assert result.counts == Counts(updated=1)


def test_an_update_that_failed_leaves_the_old_key() -> None:
    both, held = item("o:2+u:a"), {A: Held("1", "1")}
    result = after(held, [Update(both.key, "1", both.body, was=A)], [Outcome(error=TransientError())], wanted(both))
    assert result.held == held
    assert in_place(plan(wanted(both), result.held)) == [Update(both.key, "1", both.body, was=A)]


def composed(value: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """People of up to three source keys each, no source key in two of them."""
    parts = ["u:1", "u:2", "o:3", "o:4", "c:5"]

    def people(homes: list[int], values: list[str]) -> dict[str, str]:
        groups = [sorted(part for part, home in zip(parts, homes, strict=True) if home == number) for number in (1, 2, 3)]
        return {"+".join(group): one for group, one in zip(groups, values, strict=True) if group}

    return st.builds(people, st.lists(st.integers(0, 3), min_size=5, max_size=5), st.lists(value, min_size=3, max_size=3))


@given(composed(st.sampled_from("12")), composed(fingerprints), st.integers(0, 2), st.data())
def test_whatever_merges_or_parts_nobody_is_doubled_and_no_item_lost(
    people: dict[str, str], believed: dict[str, str], power: int, data: st.DataObject
) -> None:
    snapshot = {key: item(key, value) for key, value in people.items()}
    held = {key: Held(f"id {key}", value) for key, value in believed.items()}
    count = 2**power
    apart: list[Operation] = []
    for number in range(count):
        apart += plan(
            {key: one for key, one in snapshot.items() if bucket_of(key, count) == number},
            {key: one for key, one in held.items() if bucket_of(key, count) == number},
        )
    operations = in_place(apart)
    assert in_place(operations) == operations

    # The mailbox: our items by id with their keys, and one that is none of ours
    mailbox = {one.item_id: key for key, one in held.items()} | {"foreign": "foreign"}
    done = data.draw(st.integers(0, len(operations)))
    outcomes = []
    for number, operation in enumerate(operations[:done]):
        if isinstance(operation, Delete):
            assert mailbox.pop(operation.item_id) == operation.key
            outcomes.append(Outcome())
            continue
        if isinstance(operation, Update):
            assert mailbox[operation.item_id] == (operation.was or operation.key)
        item_id = operation.item_id if isinstance(operation, Update) else f"new {number}"
        mailbox[item_id] = operation.key
        outcomes.append(Outcome(item_id))
    result = after(held, operations[:done], outcomes, snapshot)
    assert {one.item_id: key for key, one in result.held.items()} | {"foreign": "foreign"} == mailbox
    # Whatever was done so far, the rest of it is still what is to be done, and at the end everybody is there once
    assert {*in_place(plan(snapshot, result.held))} == {*operations[done:]}
    if done == len(operations):
        assert sorted(mailbox.values()) == sorted(["foreign", *snapshot])
    # Nobody is created while an item of theirs is deleted
    deleted = {part for operation in operations if isinstance(operation, Delete) for part in operation.key.split("+")}
    created = {part for operation in operations if isinstance(operation, Create) for part in operation.key.split("+")}
    assert not deleted & created


# --- listings ----------------------------------------------------------------------------------------------------------


def test_a_listing_is_the_ledger() -> None:
    result = listing(
        [seen("1", ours(A)), seen("2", ours(B).upper(), fingerprint=OTHER)], {A: Held("1", OTHER), C: Held("3", KNOWN)}
    )
    assert result == Listing(held={A: Held("1", KNOWN), B: Held("2", OTHER)}, gone={C: Held("3", KNOWN)})


@pytest.mark.parametrize("fingerprint", [None, "", "gibberish", KNOWN.replace("k1", "k0")])
def test_a_fingerprint_that_says_nothing_is_none(fingerprint: str | None) -> None:
    assert listing([seen("1", ours(A), fingerprint=fingerprint)]).held == {A: Held("1", "")}


@pytest.mark.parametrize("was_dirty", [True, False])
@pytest.mark.parametrize(
    ("previous", "stays", "other"),
    [
        ({}, "old", "new"),
        ({A: Held("new", KNOWN)}, "new", "old"),
        ({A: Held("old", KNOWN)}, "old", "new"),
        ({A: Held("elsewhere", KNOWN)}, "old", "new"),
        ({B: Held("new", KNOWN)}, "old", "new"),
    ],
)
def test_of_two_with_one_mark_one_stays(previous: dict[str, Held], stays: str, other: str, was_dirty: bool) -> None:
    items = [seen("new", ours(A), "2026-01-02T00:00:00Z", OTHER), seen("old", ours(A), "2026-01-01T00:00:00Z")]
    for order in (items, items[::-1]):
        result = listing(order, previous, was_dirty=was_dirty)
        assert result.held == {A: Held(stays, KNOWN if stays == "old" else OTHER)}
        assert result.doubles == ([other] if was_dirty else [])
        assert result.copies == ([] if was_dirty else [other])


def test_of_two_written_at_once_the_choice_is_always_the_same() -> None:
    items = [seen("b", ours(A)), seen("a", ours(A)), seen("c", ours(A))]
    assert listing(items, was_dirty=True).held[A].item_id == "a"
    assert sorted(listing(items[::-1], was_dirty=True).doubles) == ["b", "c"]


def test_an_item_that_a_listing_shows_twice_is_no_double() -> None:
    once = seen("1", ours(A))
    assert listing([once, once], was_dirty=True) == Listing(held={A: Held("1", KNOWN)})


FOREIGN = (
    None,
    "",
    "released",
    folder_mark("inst", "sync"),
    item_mark("inst", "other", A),
    item_mark("other", "sync", A),
    "sync/u:a",
)

seen_items = st.lists(
    st.builds(
        SeenItem,
        item_id=st.sampled_from("123456789"),
        folder_id=st.just("folder"),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        mark=st.sampled_from([ours(A), ours(B), ours(f"{A}+{B}"), *FOREIGN]),
        fingerprint=st.sampled_from([None, KNOWN, OTHER, "gibberish"]),
    ),
    unique_by=lambda one: one.item_id,
)
previous_ledgers = st.dictionaries(st.sampled_from([A, B, C]), st.builds(Held, st.sampled_from("123456789"), st.just(KNOWN)))


@given(seen_items, previous_ledgers, st.booleans())
def test_a_listing_accounts_for_our_items_and_touches_no_other(
    items: list[SeenItem], previous: dict[str, Held], was_dirty: bool
) -> None:
    result = listing(items, previous, was_dirty=was_dirty)
    kept = [held.item_id for held in result.held.values()]
    assert sorted(kept + result.doubles + result.copies) == sorted(one.item_id for one in items if one.mark not in FOREIGN)
    assert not (result.copies if was_dirty else result.doubles)
    assert {one.mark for one in items if one.item_id in kept} == {ours(key) for key in result.held}
    assert result.held.keys() | result.gone.keys() >= previous.keys()
    assert not result.held.keys() & result.gone.keys()
    assert all(previous[key] == held for key, held in result.gone.items())
    assert all(held.fingerprint in ("", KNOWN, OTHER) for held in result.held.values())


@given(seen_items, previous_ledgers, st.booleans())
def test_after_a_listing_is_tidied_up_the_next_one_finds_nothing(
    items: list[SeenItem], previous: dict[str, Held], was_dirty: bool
) -> None:
    first = listing(items, previous, was_dirty=was_dirty)
    touched = {*first.doubles, *first.copies}
    again = listing([one for one in items if one.item_id not in touched], first.held)
    assert again == Listing(held=first.held)


def test_what_an_item_really_holds() -> None:
    unread = seen("1", ours(A), fingerprint=None)
    read = SeenItem("1", "folder", "", ours(A), None, {"displayName": " Anna", "emailAddresses": []})
    assert compare_fields(unread, FINGERPRINTER) == Held("1", "")
    assert compare_fields(read, FINGERPRINTER) == Held("1", KNOWN)
    assert compare_fields(SeenItem("1", "folder", "", ours(A), None, {}), FINGERPRINTER) == Held("1", FINGERPRINTER.of({}))


def test_what_the_user_edited_is_what_differs_from_the_item_s_own_mark() -> None:
    written = FINGERPRINTER.of({"displayName": "Anna", "jobTitle": "Clerk"}, photo="abc")
    item = SeenItem("1", "folder", "", ours(A), written, {"displayName": "Anna", "jobTitle": "Head"})
    found = FINGERPRINTER.of({"displayName": "Anna", "jobTitle": "Head"}, photo="abc")  # the mark alone tells of photos
    assert compare_fields(item, FINGERPRINTER) == Held("1", found)
    assert compare_fields(item, FINGERPRINTER, keep_edits=True) == Held("1", found, ("jobTitle",))


# --- changes -----------------------------------------------------------------------------------------------------------

HELD = {A: Held("1", KNOWN), B: Held("2", KNOWN), C: Held("3", "")}


def changed(item_id: str, name: str) -> ItemChange:
    return ItemChange(item_id, removed=False, fields={"displayName": name})


def removed(item_id: str) -> ItemChange:
    return ItemChange(item_id, removed=True)


def test_what_changes_mean() -> None:
    findings = judge_changes([changed("1", "Ann"), removed("2"), changed("9", "Mum"), removed("8")], HELD, FINGERPRINTER)
    assert findings.edited == {A: Held("1", OTHER)}
    assert findings.left == {B: Held("2", KNOWN)}
    assert findings.unknown == ["9"]


def test_our_own_echo_and_a_bumped_change_key_are_no_findings() -> None:
    findings = judge_changes([changed("1", "Anna"), changed("2", " Anna ")], HELD, FINGERPRINTER)
    assert (findings.edited, findings.left, findings.unknown) == ({}, {}, [])


def test_edits_are_kept_with_those_there_were() -> None:
    written = FINGERPRINTER.of({"displayName": "Anna", "jobTitle": "Clerk"}, photo="abc")
    held = {A: Held("1", written, ("department",)), B: Held("2", written)}
    changes = [ItemChange(item_id, removed=False, fields={"displayName": "Ann", "jobTitle": "Head"}) for item_id in "12"]
    found = FINGERPRINTER.of({"displayName": "Ann", "jobTitle": "Head"}, photo="abc")
    findings = judge_changes(changes, held, FINGERPRINTER, keep_edits=True)
    assert findings.edited == {
        A: Held("1", found, ("department", "displayName", "jobTitle")),
        B: Held("2", found, ("displayName", "jobTitle")),
    }
    assert judge_changes(changes, held, FINGERPRINTER).edited == {A: Held("1", found), B: Held("2", found)}


def test_content_that_was_unclear_becomes_known() -> None:
    assert judge_changes([changed("3", "Anna")], HELD, FINGERPRINTER).edited == {C: Held("3", KNOWN)}


def test_the_last_change_of_an_item_counts() -> None:
    findings = judge_changes(
        [changed("1", "Ann"), changed("1", "Anna"), removed("2"), changed("2", "Anna"), changed("9", "Mum"), removed("9")],
        HELD,
        FINGERPRINTER,
    )
    assert (findings.edited, findings.left, findings.unknown) == ({}, {}, [])
    assert judge_changes([changed("2", "Anna"), removed("2")], HELD, FINGERPRINTER).left == {B: HELD[B]}


@given(
    st.lists(
        st.builds(changed, st.sampled_from("123456"), st.sampled_from(["Anna", "Ann"]))
        | st.builds(removed, st.sampled_from("123456"))
    )
)
def test_replayed_changes_lead_to_the_same_findings_and_edits_to_repairs(changes: list[ItemChange]) -> None:
    findings = judge_changes(changes, HELD, FINGERPRINTER)
    assert judge_changes(changes + changes, HELD, FINGERPRINTER) == findings
    assert len(findings.unknown) == len(set(findings.unknown))
    snapshot = {key: Item(key, KNOWN, b"") for key in HELD}
    repairs = plan(snapshot, {**HELD, **findings.edited})
    assert {operation.key for operation in repairs if operation.key != C} == {
        key for key, held in findings.edited.items() if held.fingerprint != KNOWN and key != C
    }


# --- outcomes ----------------------------------------------------------------------------------------------------------


def test_what_outcomes_make_of_a_ledger() -> None:
    held = {B: Held("2", "0"), C: Held("3", "0"), "u:d": Held("4", "0")}
    operations: list[Operation] = [Create(A, b""), Update(B, "2", b""), Update(C, "3", b""), Delete("u:d", "4")]
    result = after(held, operations, [Outcome("1"), Outcome("2 moved"), Outcome(), Outcome()], wanted(item(A), item(B), item(C)))
    assert result.held == {A: Held("1", "1"), B: Held("2 moved", "1"), C: Held("3", "1")}
    assert result.counts == Counts(created=1, updated=2, deleted=1)
    assert (result.in_doubt, result.failed) == ([], [])
    assert held == {B: Held("2", "0"), C: Held("3", "0"), "u:d": Held("4", "0")}


def test_errors_change_nothing_and_lost_creates_are_in_doubt() -> None:
    held = {B: Held("2", "0"), C: Held("3", "0")}
    operations: list[Operation] = [
        Create(A, b""), Create("u:x", b""), Update(B, "2", b""), Delete(C, "3"), Delete("u:y", "9"), Create("u:z", b""),
    ]  # fmt: skip
    errors = [
        AnswerLostError(), MailboxError(Reason.REFUSED), LedgerDoubtError(), TransientError(), AnswerLostError(), None,
    ]  # fmt: skip
    outcomes = [Outcome("7", error) for error in errors]
    result = after(held, operations, outcomes, wanted(item(A), item("u:x"), item(B), item("u:z")))
    assert result.held == {**held, "u:z": Held("7", "1")}
    assert result.counts == Counts(created=1)
    assert result.in_doubt == [A]
    assert result.failed == list(zip(operations, errors, strict=True))[:-1]


def test_deleting_what_the_ledger_no_longer_has_is_done() -> None:
    result = after({}, [Delete(A, "1")], [Outcome()], {})
    assert (result.held, result.counts) == ({}, Counts(deleted=1))


def test_an_outcome_that_is_missing_is_a_bug() -> None:
    with pytest.raises(ValueError, match="argument"):
        after({}, [Delete(A, "1"), Delete(B, "2")], [Outcome()], {})
