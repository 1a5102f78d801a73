"""What only the in-memory implementations do: time that jumps, crashes on demand, deliveries by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from local.clock import VirtualClock
from local.memory import MemoryQueues, MemoryTables
from sync_core.ports import Put, Remove

START = datetime(2026, 1, 1, tzinfo=UTC)


def clock() -> VirtualClock:
    return VirtualClock(START)


async def test_time_stands_still_until_it_is_moved() -> None:
    time = clock()
    await asyncio.sleep(0.01)
    assert time.now() == START
    time.advance(timedelta(days=1))
    assert time.now() == START + timedelta(days=1)
    await time.sleep(90)
    assert time.now() == START + timedelta(days=1, seconds=90)
    await time.sleep(0)
    await time.sleep(-1)
    assert time.now() == START + timedelta(days=1, seconds=90)


async def test_sleepers_wake_in_the_order_of_their_deadlines_whatever_they_do_in_between() -> None:
    time = clock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await time.sleep(nap)
            woken.append((name, (time.now() - START).total_seconds()))
            for _ in range(50):  # work that takes many rounds of the loop, but no time
                await asyncio.sleep(0)

    await asyncio.gather(sleeper("a", 5, 1, 10), sleeper("b", 2, 2, 2), sleeper("c", 7), sleeper("d", 5.5))
    assert woken == [("b", 2), ("b", 4), ("a", 5), ("d", 5.5), ("b", 6), ("a", 6), ("c", 7), ("a", 16)]


async def test_a_sleeper_does_not_oversleep_because_others_sleep_longer() -> None:
    time = clock()
    done = asyncio.Event()

    async def worker() -> None:
        for _ in range(3):
            await time.sleep(1)
        done.set()

    async def watchdog() -> None:
        await time.sleep(100)
        raise AssertionError("woken too early")

    guard = asyncio.create_task(watchdog())
    task = asyncio.create_task(worker())
    await done.wait()
    assert time.now() == START + timedelta(seconds=3)
    guard.cancel()
    await asyncio.gather(task, guard, return_exceptions=True)
    await time.sleep(1)
    assert time.now() == START + timedelta(seconds=4)


async def test_sleeping_can_be_cancelled_and_timed_out_with_another_sleep() -> None:
    time = clock()
    long = asyncio.create_task(time.sleep(100))
    await time.sleep(1)
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    await time.sleep(1)
    assert time.now() == START + timedelta(seconds=2)


def test_a_clock_survives_the_loop_in_which_tasks_still_slept() -> None:
    time = clock()

    async def crash() -> None:
        task = asyncio.create_task(time.sleep(1000))
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(crash())
    asyncio.run(time.sleep(1))
    assert time.now() == START + timedelta(seconds=1)


async def test_a_crash_before_an_operation_prevents_it_and_one_after_it_does_not() -> None:
    tables = MemoryTables(page_size=10)
    log: list[tuple[str, str, str]] = []
    fatal: list[tuple[str, str, str]] = []

    async def hook(moment: str, operation: str, target: str) -> None:
        log.append((moment, operation, target))
        if (moment, operation, target) in fatal:
            raise RuntimeError("crashed")

    tables.hook = hook
    for moment, expected in [("before", None), ("after", {"A": 1})]:
        fatal[:] = [(moment, "commit", "t")]
        with pytest.raises(RuntimeError, match="crashed"):
            await tables.commit("t", "p", [Put("r", {"A": 1})])
        entity = await tables.get("t", "p", "r")
        assert (entity and entity.values) == expected
    log.clear()
    assert [entity.row async for entity in tables.query("t", "p")] == ["r"]
    assert log == [("before", "query", "t"), ("after", "query", "t")]


async def test_pages_show_what_is_there_when_they_are_fetched() -> None:
    tables = MemoryTables(page_size=10)
    await tables.commit("t", "p", [Put(f"{n:02d}", {}) for n in range(25)])
    seen: list[str] = []
    async for entity in tables.query("t", "p"):
        if not seen:
            await tables.commit("t", "p", [Remove("05"), Remove("15"), Put("99", {})])
        seen.append(entity.row)
    assert "05" in seen  # in the page already fetched
    assert "15" not in seen
    assert seen[-1] == "99"
    assert tables.transactions["t", "query"] == 3


async def test_deliveries_come_by_time_and_can_be_given_back() -> None:
    time = clock()
    queues = MemoryQueues(time)
    await queues.send("a", {"n": 1}, delay=60)
    await queues.send("b", {"n": 2})
    await queues.send("a", {"n": 3})
    assert queues.next_at() == START
    second = queues.receive()
    assert second is not None
    assert (second.queue, second.body, second.attempt) == ("b", b'{"n":2}', 1)
    third = queues.receive("a")
    assert third is not None
    assert third.body == b'{"n":3}'
    assert queues.receive() is None
    assert len(queues) == 1
    queues.give_back(second, delay=10)
    assert queues.next_at() == START + timedelta(seconds=10)
    time.advance(timedelta(minutes=1))
    again, first = queues.receive(), queues.receive()
    assert again is not None
    assert first is not None
    assert (again.body, again.attempt, first.body) == (b'{"n":2}', 2, b'{"n":1}')
    assert queues.next_at() is None


async def test_sending_can_crash_too() -> None:
    sent: list[str] = []

    async def hook(moment: str, operation: str, target: str) -> None:
        sent.append(f"{moment} {operation} {target}")
        if moment == "after":
            raise RuntimeError("crashed")

    queues = MemoryQueues(clock(), hook=hook)
    with pytest.raises(RuntimeError, match="crashed"):
        await queues.send("a", {"n": 1})
    assert sent == ["before send a", "after send a"]
    assert len(queues) == 1
