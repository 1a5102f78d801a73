"""Whatever tasks do side by side: every request is answered once, and no rule of Graph is broken."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from unittest.mock import patch

import httpx
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from sync_core.model import Create
from tests.graph.canned import TENANT, Canned, Item, Reply, create, failed, open_graph


@dataclass(frozen=True)
class Task:
    """What one task does: in which session and mailbox, whether it takes part in sharing, and its writes and pauses in turn."""

    session: int
    mailbox: int
    shares: bool
    steps: list[tuple[int, float]]  # operations to write, seconds to work afterwards


TASKS = st.lists(
    st.builds(
        Task,
        st.integers(0, 1),
        st.integers(0, 8),
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0.0, 0.0, 1.0, 3.0])), max_size=4),
    ),
    max_size=30,
)


class Strict(Canned):
    """Refuses what Graph refuses; throttles as the seed says."""

    def __init__(self, clock: VirtualClock, throttled: list[bool]) -> None:
        super().__init__(self._item)
        self.clock = clock
        self.throttled = list(throttled)
        self.flying: Counter[str] = Counter()
        self.made: Counter[str] = Counter()

    def _item(self, item: Item) -> Reply:
        if self.throttled and self.throttled.pop():
            return failed(429, "ApplicationThrottled", Retry_After="2")
        self.made[item["body"]["displayName"]] += 1
        return 201, {"id": "id of " + item["body"]["displayName"]}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("$batch"):
            return await super().handle_async_request(request)
        items = orjson.loads(await request.aread())["requests"]
        assert 1 <= len(items) <= 20
        assert len({item["id"] for item in items}) == len(items)
        boxes = {item["url"].split("/")[2] for item in items}
        self.flying.update(boxes)
        assert max(self.flying.values()) == 1, "two batches at a time for one mailbox"
        await self.clock.sleep(0.5)
        self.flying.subtract(boxes)
        return await super().handle_async_request(request)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TASKS, st.lists(st.booleans(), max_size=40))
def test_every_request_is_answered_once(tasks: list[Task], throttled: list[bool]) -> None:
    async def run() -> None:
        clock = VirtualClock()
        strict = Strict(clock, throttled)
        graph = open_graph(strict, clock)
        sessions = [graph.mailboxes(TENANT) for _ in range(2)]
        expected: list[str] = []

        async def work(number: int, task: Task) -> None:
            for step, (count, pause) in enumerate(task.steps):
                names = [f"{number}.{step}.{index}" for index in range(count)]
                expected.extend(names)
                writes = [Create(name, create(name)) for name in names]
                outcomes = await sessions[task.session].write(f"mailbox{task.mailbox}", "folder", writes)
                assert [outcome.item_id for outcome in outcomes] == [f"id of {name}" for name in names]
                await clock.sleep(pause)

        async def start(number: int, task: Task) -> None:
            if task.shares:
                with sessions[task.session].sharing():
                    await work(number, task)
            else:
                await work(number, task)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number, task in enumerate(tasks):
                group.create_task(start(number, task))
        assert strict.made == Counter(expected)
        spent = sum(session.spent.requests for session in sessions)
        refused = sum(session.spent.throttled for session in sessions)
        assert spent == len(expected) + refused
        assert sum(session.spent.http_calls for session in sessions) == len(strict.calls)

    with patch("cloud.graph.batch._LINGER", 600):  # nobody may need it here
        asyncio.run(run())
