"""The host: reads an app and keeps its triggers going."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import azure.functions as func
from azure.storage.queue.aio import QueueServiceClient

from cloud.clock import SystemClock
from local.host.functions import Function, Work, read_functions
from local.host.http import HttpServer
from local.host.queues import QueueListener
from local.host.settings import HostSettings, connection_string, resolve
from local.host.timers import Schedule, Timer
from sync_core.ports import Clock


class FunctionsHost:
    """Runs a FunctionApp in this process and on this event loop."""

    def __init__(
        self,
        app: func.FunctionApp,
        settings: HostSettings | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
        lease: float = 600,
        key: str = "",
        address: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        """Read the app. Raises ValueError for anything in it that this host would not run.

        `environment` resolves connections and `%NAME%`; `lease` is how many seconds a queue message stays with a host that died
        (10 minutes in Azure); `key` opens what is behind a key, the admin endpoints too (none: a new one); `clock` drives timers.
        """
        settings = settings or HostSettings()
        clock = clock or SystemClock()
        functions = read_functions(app, settings.function_timeout)
        self.key = key or secrets.token_urlsafe()
        self.url = ""
        self._work = Work()
        self._address, self._port = address, port
        self._settings, self._environment, self._lease = settings, environment, lease
        by_type = {kind: [each for each in functions if each.trigger["type"] == kind] for kind in ("httpTrigger", "queueTrigger")}
        self._queue_functions = by_type["queueTrigger"]
        self._timers: dict[str, Timer] = {}
        for function in functions:
            if function.trigger["type"] == "timerTrigger":
                schedule = Schedule(resolve(function.trigger["schedule"], environment))
                self._timers[function.name] = Timer(function, schedule, clock, self._work)
        self._http = HttpServer(by_type["httpTrigger"], self._timers, settings.route_prefix, self.key, self._work, clock)
        self._services: dict[str, QueueServiceClient] = {}
        self._listeners: list[QueueListener] = []
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make missing queues, listen for HTTP at `url`, poll the queues, start the timers."""
        try:
            self._listeners = [self._listener(function) for function in self._queue_functions]
            for listener in self._listeners:
                await listener.prepare()
            self._work.ended = self._look_soon
            port = await self._http.start(self._address, self._port)
        except BaseException:
            await self.stop()
            raise
        self.url = f"http://{self._address}:{port}"
        self._loops = [asyncio.create_task(listener.run()) for listener in self._listeners]
        self._loops += [asyncio.create_task(timer.run()) for timer in self._timers.values()]

    def _look_soon(self) -> None:
        """Messages are mostly sent by functions of the app itself: look whether there are any, rather than at the next poll."""
        for listener in self._listeners:
            if not listener.is_poison:
                listener.look_soon()

    def _listener(self, function: Function) -> QueueListener:
        connection = function.trigger["connection"]
        if connection not in self._services:
            address = connection_string(connection, self._environment)
            self._services[connection] = QueueServiceClient.from_connection_string(address)
        name = resolve(function.trigger["queueName"], self._environment)
        return QueueListener(function, name, self._services[connection], self._settings.queues, self._work, lease=self._lease)

    async def stop(self, drain: float = 0) -> None:
        """Take nothing new, wait up to `drain` seconds for what is under way, then cancel the rest.

        Messages whose function was cancelled come back when their lease is over, as after the end of a host in Azure.
        """
        await self._http.stop_listening()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._work.finish(drain)
        await self._http.stop()
        for service in self._services.values():
            await service.close()

    async def fire(self, name: str) -> None:
        """Run a timer function now and wait for it. Raises what it raises, and KeyError for an unknown timer."""
        await self._timers[name].fire()

    async def run_until_idle(self, within: float = 60) -> int:
        """Wait until nothing runs and no message can be delivered now; return how many messages wait for later.

        Messages that another host holds count as waiting. Raises TimeoutError after `within` seconds.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for loop in self._loops:
                if loop.done():
                    loop.result()  # a trigger that died will never deliver anything: raise why
            changes = self._work.changes
            ready = [listener for listener in self._listeners if await listener.visible()]
            if not (
                ready or self._work.under_way or self._work.changes != changes or any(each.receiving for each in self._listeners)
            ):
                return sum([await listener.waiting() for listener in self._listeners])
            for listener in ready:
                listener.wake()
            await asyncio.sleep(0.02)
        raise TimeoutError(f"not idle after {within:g} s")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()
