from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest

from local.host import FunctionsHost
from local.host.timers import Schedule

MONDAY = datetime(2026, 11, 23, 23, 58, 30, tzinfo=UTC)


class MovedClock:
    """Time that stands still until somebody moves it."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._moved = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        until = self._now + timedelta(seconds=seconds)
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= until)

    async def move(self, **by: float) -> None:
        async with self._moved:
            self._now += timedelta(**by)
            self._moved.notify_all()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */5 * * * *", "2026-11-24T00:00:00+00:00"),
        ("*/20 * * * * *", "2026-11-23T23:58:40+00:00"),
        ("15 30 2 * * *", "2026-11-24T02:30:15+00:00"),
        ("0 0 9 * * MON-FRI", "2026-11-24T09:00:00+00:00"),
        ("0 0 0 1 * 5", "2027-01-01T00:00:00+00:00"),  # the first of a month and a Friday
    ],
)
def test_schedules(expression: str, expected: str) -> None:
    assert Schedule(expression).after(MONDAY).isoformat() == expected


class Fixture:
    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []
        self.statuses: list[dict[str, str | None]] = []
        self.running = self.most = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.clock = MovedClock(MONDAY)
        app = func.FunctionApp()

        @app.timer_trigger(arg_name="timer", schedule="%EVERY%")
        async def tick(timer: func.TimerRequest) -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            await self.hold.wait()
            self.running -= 1
            self.calls.append((self.clock.now().time().isoformat(), timer.past_due))
            self.statuses.append(timer.schedule_status)  # type: ignore[attr-defined]  # only the real one has it
            if len(self.calls) == 1:
                raise RuntimeError("the first one fails")

        self.host = FunctionsHost(app, environment={"EVERY": "0 */5 * * * *"}, clock=self.clock)


@pytest.fixture
async def ticking() -> AsyncIterator[Fixture]:
    fixture = Fixture()
    async with fixture.host:
        await fixture.clock.move(seconds=0)
        yield fixture


async def test_a_timer_fires_when_it_is_due_also_after_a_failure(ticking: Fixture) -> None:
    await ticking.clock.move(seconds=89)
    assert ticking.calls == []
    await ticking.clock.move(seconds=1)
    assert ticking.calls == [("00:00:00", False)]
    await ticking.clock.move(minutes=5)
    assert ticking.calls[1:] == [("00:05:00", False)]


async def test_several_missed_occurrences_are_one_that_is_past_due(ticking: Fixture) -> None:
    await ticking.clock.move(minutes=62)
    assert ticking.calls == [("01:00:30", True)]
    await ticking.clock.move(minutes=4.5)
    assert ticking.calls[1:] == [("01:05:00", False)]


async def test_runs_do_not_overlap(ticking: Fixture) -> None:
    ticking.hold.clear()
    await ticking.clock.move(minutes=2)
    by_hand = asyncio.create_task(ticking.host.fire("tick"))
    await ticking.clock.move(seconds=0)
    assert ticking.calls == []
    ticking.hold.set()
    await by_hand
    assert (len(ticking.calls), ticking.most) == (2, 1)


async def test_the_schedule_status_tells_the_last_run_that_went_well(ticking: Fixture) -> None:
    with pytest.raises(RuntimeError, match="the first one fails"):
        await ticking.host.fire("tick")
    await ticking.host.fire("tick")
    await ticking.host.fire("tick")
    assert [status["Last"] for status in ticking.statuses] == [None, None, MONDAY.isoformat()]
    assert ticking.statuses[0]["Next"] == "2026-11-24T00:00:00+00:00"


async def test_an_unknown_timer(ticking: Fixture) -> None:
    with pytest.raises(KeyError):
        await ticking.host.fire("tock")


async def test_run_on_startup_runs_at_once() -> None:
    app = func.FunctionApp()
    ran = asyncio.Event()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
    async def early(timer: func.TimerRequest) -> None:
        ran.set()

    async with FunctionsHost(app), asyncio.timeout(5):
        await ran.wait()


def test_a_setting_that_is_missing_is_named() -> None:
    app = func.FunctionApp()
    app.timer_trigger(arg_name="timer", schedule="%NEVER_SET%")(lambda timer: None)
    with pytest.raises(ValueError, match="the setting NEVER_SET is not set"):
        FunctionsHost(app, environment={})
