"""Shared batches, the gate of a mailbox, throttling and patience."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

import httpx
import orjson
import pytest

from local.clock import VirtualClock
from local.m365.faults import Fault, FaultKind
from sync_core.errors import AnswerLostError, MailboxError, ParkedError, Reason, TenantError, TransientError
from sync_core.model import Create, Delete, Outcome, Update
from sync_core.ports import Mailboxes
from tests.graph.canned import BASE, TENANT, Canned, Item, Reply, create, failed, open_graph
from tests.graph.conftest import World


def creates(count: int) -> list[Create]:
    return [Create(f"k{number}", create(f"n{number}")) for number in range(count)]


async def side_by_side(mailboxes: Mailboxes, count: int, serve: Callable[[str], Awaitable[object]]) -> None:
    async def one(mailbox: str) -> None:
        with mailboxes.sharing():
            await serve(mailbox)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(f"mailbox{number}"))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def made(item: Item) -> Reply:
    return 201, {"id": f"made for {item['url'].split('/')[2]} as {item['body']['displayName']}"}


async def test_small_work_in_twenty_mailboxes_is_one_call(clock: VirtualClock) -> None:
    canned = Canned(made)
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    outcomes: dict[str, list[Outcome]] = {}

    async def serve(mailbox: str) -> None:
        outcomes[mailbox] = await mailboxes.write(mailbox, "folder", creates(1))

    await side_by_side(mailboxes, 20, serve)
    assert [len(batch) for batch in canned.batches] == [20]
    assert outcomes == {f"mailbox{n}": [Outcome(f"made for mailbox{n} as n0")] for n in range(20)}
    assert (mailboxes.spent.requests, mailboxes.spent.http_calls) == (20, 1)


async def test_steps_of_many_mailboxes_stay_together(clock: VirtualClock) -> None:
    canned = Canned(lambda item: (200, {"value": [], "id": "x"}))
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)

    async def serve(mailbox: str) -> None:
        await mailboxes.folders(mailbox)
        await clock.sleep(1)
        await mailboxes.write(mailbox, "folder", creates(1))
        await mailboxes.item(mailbox, "item")

    await side_by_side(mailboxes, 40, serve)
    assert [len(batch) for batch in canned.batches] == [20] * 6


async def test_whoever_still_works_is_waited_for(clock: VirtualClock) -> None:
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)

    async def serve(mailbox: str) -> None:
        if mailbox == "mailbox3":
            await clock.sleep(2)
        elif mailbox == "mailbox4":
            return  # nothing to say
        await mailboxes.write(mailbox, "folder", creates(2))

    await side_by_side(mailboxes, 6, serve)
    assert [len(batch) for batch in canned.batches] == [10]


async def test_a_full_batch_waits_for_nobody(clock: VirtualClock) -> None:
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    start = clock.now()
    sent: list[tuple[int, float]] = []
    canned.call = lambda _: sent.append((len(canned.batches[-1]), (clock.now() - start).total_seconds()))

    async def serve(mailbox: str) -> None:
        await clock.sleep(10 if mailbox == "mailbox3" else 0)
        await mailboxes.write(mailbox, "folder", creates(5))

    await side_by_side(mailboxes, 6, serve)
    assert sent == [(20, 0), (10, 10)]


async def test_participants_that_wait_for_one_another_do_not_wait_for_ever(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.graph.batch._LINGER", 0.01)
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    done = asyncio.Event()

    async def serve(mailbox: str) -> None:
        if mailbox == "mailbox0":
            await mailboxes.write(mailbox, "folder", creates(1))
            done.set()
        else:
            await done.wait()

    async with asyncio.timeout(5):
        await side_by_side(mailboxes, 2, serve)
    assert [len(batch) for batch in canned.batches] == [1]


async def test_a_mailbox_with_twenty_operations_has_a_call_of_its_own(clock: VirtualClock) -> None:
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    sizes = {"mailbox0": 20, "mailbox1": 15, "mailbox2": 20, "mailbox3": 6, "mailbox4": 5}

    async def serve(mailbox: str) -> None:
        await mailboxes.write(mailbox, "folder", creates(sizes[mailbox]))

    await side_by_side(mailboxes, 5, serve)
    made_of = [Counter(item["url"].split("/")[2] for item in batch) for batch in canned.batches]
    assert sorted(map(sorted, made_of)) == [["mailbox0"], ["mailbox1", "mailbox4"], ["mailbox2"], ["mailbox3"]]


async def test_outside_sharing_nothing_waits(clock: VirtualClock) -> None:
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    with mailboxes.sharing():
        other = open_graph(canned, clock).mailboxes(TENANT)
        await other.write("mailbox", "folder", creates(1))  # takes part in another session: not in this one
    await mailboxes.write("mailbox", "folder", creates(1))
    assert [len(batch) for batch in canned.batches] == [1, 1]


async def test_tasks_of_one_participant_take_part_with_it(clock: VirtualClock) -> None:
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    with mailboxes.sharing():
        await side_by_side(mailboxes, 3, lambda mailbox: mailboxes.write(mailbox, "folder", creates(1)))
    assert [len(batch) for batch in canned.batches] == [3]


class Slow(Canned):
    """Keeps each call for a second and records which mailboxes are in flight at the same time."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.flying: Counter[str] = Counter()
        self.highest = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        boxes = (
            {item["url"].split("/")[2] for item in orjson.loads(await request.aread())["requests"]}
            if request.url.path.endswith("$batch")
            else set()
        )
        self.flying.update(boxes)
        self.highest = max(self.highest, *self.flying.values(), 0)
        await self.clock.sleep(1)
        self.flying.subtract(boxes)
        return await super().handle_async_request(request)


async def test_a_mailbox_has_one_batch_in_flight_across_sessions(clock: VirtualClock) -> None:
    slow = Slow(clock)
    graph = open_graph(slow, clock)
    sessions = [graph.mailboxes(TENANT) for _ in range(4)]
    await asyncio.gather(
        *(session.write(name, "f", creates(20)) for session in sessions for name in ("mailbox", "MAILBOX", "other"))
    )
    assert len(slow.batches) == 12
    assert slow.highest == 1


async def test_a_cancelled_task_keeps_the_gate_until_its_batch_is_back(clock: VirtualClock) -> None:
    slow = Slow(clock)
    graph = open_graph(slow, clock)
    await graph.mailboxes(TENANT).write("warm", "f", creates(1))
    task = asyncio.create_task(graph.mailboxes(TENANT).write("mailbox", "f", creates(1)))
    while not slow.flying["mailbox"]:
        await asyncio.sleep(0)
    task.cancel()
    await graph.mailboxes(TENANT).write("mailbox", "f", creates(1))
    assert task.cancelled()
    assert slow.highest == 1


async def test_a_cancelled_task_takes_its_requests_out_of_the_pool(clock: VirtualClock) -> None:
    canned = Canned()
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    tasks: list[asyncio.Task[object]] = []

    async def serve(mailbox: str) -> None:
        if mailbox == "mailbox2":
            tasks[0].cancel()
        await mailboxes.write(mailbox, "folder", creates(1))

    async def one(mailbox: str) -> None:
        with mailboxes.sharing():
            await serve(mailbox)

    tasks += [asyncio.create_task(one(f"mailbox{n}")) for n in range(3)]
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [item["url"].split("/")[2] for batch in canned.batches for item in batch] == ["mailbox1", "mailbox2"]


async def test_throttled_items_go_together_after_the_longest_retry_after(clock: VirtualClock) -> None:
    seen: Counter[str] = Counter()

    def item(item: Item) -> Reply:
        name = item["body"]["displayName"]
        seen[name] += 1
        if seen[name] == 1 and name in ("n1", "n4"):
            return failed(429, "ApplicationThrottled", Retry_After={"n1": "7", "n4": "30"}[name])
        return made(item)

    canned = Canned(item)
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    start = clock.now()
    outcomes = await mailboxes.write("mailbox", "folder", creates(20))
    assert [outcome.item_id for outcome in outcomes] == [f"made for mailbox as n{n}" for n in range(20)]
    assert [len(batch) for batch in canned.batches] == [20, 2]
    assert (clock.now() - start).total_seconds() == 30
    assert (mailboxes.spent.requests, mailboxes.spent.http_calls, mailboxes.spent.throttled) == (22, 2, 2)


async def test_a_throttled_mailbox_does_not_hold_up_others(clock: VirtualClock) -> None:
    def item(item: Item) -> Reply:
        if "/mailbox0/" in item["url"] and clock.now() < until:
            return failed(429, "ApplicationThrottled", Retry_After="60")
        return made(item)

    until = clock.now().replace(minute=1)
    mailboxes = open_graph(Canned(item), clock).mailboxes(TENANT)
    finished: dict[str, float] = {}
    start = clock.now()

    async def serve(mailbox: str) -> None:
        await mailboxes.write(mailbox, "folder", creates(1))
        await mailboxes.write(mailbox, "folder", creates(1))
        finished[mailbox] = (clock.now() - start).total_seconds()

    await side_by_side(mailboxes, 5, serve)
    assert finished == {"mailbox0": 60, "mailbox1": 0, "mailbox2": 0, "mailbox3": 0, "mailbox4": 0}


async def test_without_retry_after_the_waits_grow(clock: VirtualClock) -> None:
    times: list[float] = []
    start = clock.now()

    def item(item: Item) -> Reply:
        times.append((clock.now() - start).total_seconds())
        return failed(429, "TooManyRequests") if len(times) < 6 else made(item)

    mailboxes = open_graph(Canned(item), clock).mailboxes(TENANT)
    (outcome,) = await mailboxes.write("mailbox", "folder", creates(1))
    assert outcome.error is None
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == sorted(waits)
    assert 10 < sum(waits) < 31


@pytest.mark.parametrize("asked", ["91", "40", "0"])
async def test_beyond_patience_the_work_is_parked(clock: VirtualClock, asked: str) -> None:
    canned = Canned(lambda item: failed(429, "ApplicationThrottled", Retry_After=asked))
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    start = clock.now()
    (outcome,) = await mailboxes.write("mailbox", "folder", creates(1))
    assert isinstance(outcome.error, ParkedError)
    assert outcome.error.delay == max(float(asked), 30)  # nobody comes back at once
    with pytest.raises(ParkedError):
        await mailboxes.folders("mailbox")
    assert (clock.now() - start).total_seconds() <= 180
    assert len(canned.batches) <= 400


async def test_a_service_that_hangs_is_not_asked_over_and_over(clock: VirtualClock) -> None:
    class Hanging(Canned):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("$batch"):
                self.calls.append(request)
                await clock.sleep(100)
                raise httpx.ReadTimeout("nothing came", request=request)
            return await super().handle_async_request(request)

    hanging = Hanging()
    with pytest.raises(TransientError):
        await open_graph(hanging, clock).mailboxes(TENANT).folders("mailbox")
    assert len(hanging.calls) == 1


async def test_what_was_done_beside_a_parked_item_is_not_lost(clock: VirtualClock) -> None:
    def item(item: Item) -> Reply:
        if item["body"]["displayName"] == "n1":
            return failed(429, "ApplicationThrottled", Retry_After="600")
        return made(item)

    mailboxes = open_graph(Canned(item), clock).mailboxes(TENANT)
    first, second, third = await mailboxes.write("mailbox", "folder", creates(3))
    assert [first.item_id, third.item_id] == ["made for mailbox as n0", "made for mailbox as n2"]
    assert isinstance(second.error, ParkedError)


async def test_a_whole_call_that_is_throttled_is_repeated_in_full(clock: VirtualClock) -> None:
    canned = Canned(made)
    canned.call = lambda _: httpx.Response(429, headers={"Retry-After": "20"}) if len(canned.calls) == 1 else None
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    start = clock.now()
    outcomes = await mailboxes.write("mailbox", "folder", creates(3))
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert (clock.now() - start).total_seconds() == 20
    assert mailboxes.spent.throttled == 3


async def test_half_of_all_items_throttled_for_a_minute_is_no_storm(world: World) -> None:
    fault = world.fault(Fault(FaultKind.THROTTLED, share=0.5, seconds=60, retry_after=10))
    mailboxes = world.mailboxes()
    outcomes: list[Outcome] = []

    async def serve(user: str) -> None:
        with mailboxes.sharing():
            for _ in range(3):
                outcomes.extend(await mailboxes.write(user, "contacts", creates(20)))

    async with asyncio.TaskGroup() as group:
        for user in world.users[:10]:
            group.create_task(serve(user))
    assert [outcome.error for outcome in outcomes] == [None] * 600
    assert all(len(world.tenant.contacts(user)) == 60 for user in world.users[:10])
    assert max(width.highest for width in world.m365.counters.widths.values()) <= 4
    assert mailboxes.spent.throttled == fault.fired
    assert fault.fired < 600  # each item is refused once on average, not again and again
    assert mailboxes.spent.http_calls == world.m365.counters.http_calls


async def test_a_first_sync_never_has_more_than_four_requests_on_a_mailbox(world: World) -> None:
    world.fault(Fault(FaultKind.LATENCY, delay=0.25))
    sessions = [world.mailboxes() for _ in range(2)]
    await asyncio.gather(*(session.write(user, "contacts", creates(20)) for session in sessions for user in world.users[:5]))
    assert world.m365.counters.statuses[429] == 0
    assert {width.highest for width in world.m365.counters.widths.values()} == {4}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json={"responses": []}),
        httpx.Response(200, json={"responses": [{"id": "7"}, {"status": 200}, "nonsense"]}),
        httpx.Response(200, json=[]),
        httpx.Response(504),
    ],
)
async def test_an_unreadable_answer_is_a_lost_one(clock: VirtualClock, answer: httpx.Response) -> None:
    canned = Canned()
    canned.call = lambda _: httpx.Response(answer.status_code, content=answer.content) if len(canned.calls) == 1 else None
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    lost, updated, deleted = await mailboxes.write(
        "mailbox", "folder", [Create("a", create("a")), Update("b", "b", create("b")), Delete("c", "c")]
    )
    assert isinstance(lost.error, AnswerLostError)
    assert [updated.error, deleted.error] == [None, None]
    assert [item["method"] for item in canned.batches[1]] == ["PATCH", "POST"]
    assert canned.batches[1][1]["url"].endswith("/permanentDelete")


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError])
async def test_a_connection_that_breaks_loses_the_answers(clock: VirtualClock, error: type[httpx.TransportError]) -> None:
    canned = Canned()

    def breaks(request: httpx.Request) -> httpx.Response | None:
        if len(canned.calls) == 1:
            raise error("broken", request=request)
        return None

    canned.call = breaks
    (outcome,) = await open_graph(canned, clock).mailboxes(TENANT).write("mailbox", "folder", creates(1))
    assert isinstance(outcome.error, AnswerLostError)
    assert len(canned.calls) == 1


async def test_a_create_answered_without_an_id_counts_as_lost(clock: VirtualClock) -> None:
    mailboxes = open_graph(Canned(lambda item: (201, None)), clock).mailboxes(TENANT)
    (outcome,) = await mailboxes.write("mailbox", "folder", creates(1))
    assert isinstance(outcome.error, AnswerLostError)
    with pytest.raises(AnswerLostError):
        await mailboxes.create_folder("mailbox", "Colleagues", "mark")


async def test_a_write_that_meets_another_one_is_repeated(clock: VirtualClock) -> None:
    canned = Canned(lambda item: failed(409, "ErrorIrresolvableConflict") if len(canned.batches) < 3 else (200, {"id": "x"}))
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    (outcome,) = await mailboxes.write("mailbox", "folder", [Update("k", "x", create("n"))])
    assert outcome.error is None
    assert len(canned.batches) == 3


async def test_a_page_without_a_list_is_an_error_not_an_empty_folder(clock: VirtualClock) -> None:
    mailboxes = open_graph(Canned(lambda item: (200, {})), clock).mailboxes(TENANT)
    with pytest.raises(TransientError):
        _ = [page async for page in mailboxes.items("mailbox", "folder")]
    with pytest.raises(TransientError):
        await mailboxes.folders("mailbox")
    with pytest.raises(TransientError):
        await mailboxes.find("mailbox", "folder", "mark")


async def test_a_next_link_to_another_host_is_not_followed(clock: VirtualClock) -> None:
    canned = Canned(lambda item: (200, {"value": [], "@odata.nextLink": "https://elsewhere.example/v1.0/users/a/contacts"}))
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    with pytest.raises(TransientError):
        _ = [page async for page in mailboxes.items("mailbox", "folder")]
    assert len(canned.calls) == 1


@pytest.mark.parametrize("links", [{}, {"@odata.nextLink": f"{BASE}/a", "@odata.deltaLink": f"{BASE}/b"}])
async def test_a_delta_page_needs_exactly_one_link(clock: VirtualClock, links: dict[str, str]) -> None:
    mailboxes = open_graph(Canned(lambda item: (200, {"value": [], **links})), clock).mailboxes(TENANT)
    with pytest.raises(TransientError):
        _ = [page async for page in mailboxes.changes("mailbox", "folder", None)]


async def test_every_item_asks_for_immutable_ids_and_names_only_contacts(clock: VirtualClock) -> None:
    canned = Canned(lambda item: (200, {"id": "i", "value": [], "@odata.deltaLink": f"{BASE}/d"}))
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    box = "a b/c?d#e"
    await mailboxes.folders(box)
    await mailboxes.child_folders(box, "f/1")
    await mailboxes.folder(box, "f/1")
    await mailboxes.create_folder(box, "n", "m")
    await mailboxes.delete_folder(box, "f/1")
    await mailboxes.item(box, "i/1")
    await mailboxes.find(box, "f/1", "m&x='y'")
    await mailboxes.unmark(box, "i/1")
    await mailboxes.unmark_folder(box, "f/1")
    await mailboxes.write(box, "f/1", [Create("k", b"{}"), Update("k", "i/1", b"{}"), Delete("k", "i/1")])
    _ = [page async for page in mailboxes.items(box, "f/1")]
    _ = [page async for page in mailboxes.changes(box, "f/1", None)]
    items = [item for batch in canned.batches for item in batch]
    assert len(items) == 14
    for item in items:
        assert 'IdType="ImmutableId"' in item["headers"]["Prefer"]
        assert item["url"].startswith(("/users/a%20b%2Fc%3Fd%23e/contactFolders", "/users/a%20b%2Fc%3Fd%23e/contacts"))
        assert item["url"].count("?") <= 1
        assert (item["headers"].get("Content-Type") == "application/json") is ("body" in item)
    assert "m%26x%3D''y''" in next(item["url"] for item in items if "$filter=single" in item["url"])


async def test_one_item_refused_for_its_token_gets_a_new_one_once(clock: VirtualClock) -> None:
    canned = Canned(lambda item: failed(401, "InvalidAuthenticationToken") if len(canned.tokens) < 2 else made(item))
    mailboxes = open_graph(canned, clock).mailboxes(TENANT)
    outcomes = await mailboxes.write("mailbox", "folder", creates(2))
    assert [outcome.error for outcome in outcomes] == [None, None]
    canned.item = lambda item: failed(401, "InvalidAuthenticationToken")
    (outcome,) = await mailboxes.write("mailbox", "folder", creates(1))
    assert isinstance(outcome.error, TenantError)
    assert outcome.error.reason is Reason.CREDENTIAL_REJECTED
    assert len(canned.tokens) == 3


async def test_an_error_of_the_tenant_stands_in_every_outcome_that_met_it(clock: VirtualClock) -> None:
    mailboxes = open_graph(Canned(lambda item: failed(403, "Authorization_RequestDenied")), clock).mailboxes(TENANT)
    outcomes = await mailboxes.write("mailbox", "folder", creates(2))
    assert [type(outcome.error) for outcome in outcomes] == [TenantError, TenantError]


async def test_a_refused_batch_refuses_its_items(clock: VirtualClock) -> None:
    canned = Canned()
    canned.call = lambda _: httpx.Response(400, json={"error": {"code": "BadRequest"}})
    outcomes = await open_graph(canned, clock).mailboxes(TENANT).write("mailbox", "folder", creates(2))
    assert [outcome.error.reason for outcome in outcomes if isinstance(outcome.error, MailboxError)] == [Reason.REFUSED] * 2
