"""Worker processes that can be killed at any storage operation or request, and a queue host that behaves as Azure's does."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from gdpr.retention import purge_caches
from local.m365.transport import Microsoft365Transport
from local.memory import Delivery
from sync_core.engine import poison
from sync_core.engine.context import Context
from sync_core.errors import RollcallError, TransientError
from tests.engine.world import INSTALLATION, TENANT, World, deliver

HOST_LEASE = 600.0  # seconds after which the message of a dead worker comes again
HOST_RETRY = 60.0  # host.json's visibilityTimeout: after a failed delivery
MOST_ATTEMPTS = 5

_MAILBOX = re.compile(rb'"url":"/users/([0-9a-f-]{36})/')


class KilledError(BaseException):
    """The process is no more. Not an Exception: no code of a dead process handles anything."""


@dataclass(eq=False)
class Process:
    """One worker process. `busy` are the mailboxes for which it has a batch in flight."""

    context: Context
    dead: bool = False
    busy: Counter[str] = field(default_factory=Counter)


running: ContextVar[Process | None] = ContextVar("running", default=None)

Effect = Callable[[], Awaitable[None]]


@dataclass(eq=False)
class Fuse:
    """Strikes at the `after`-th moment from now (of storage, queues and network alike, or only `where`)."""

    effect: Effect
    after: int
    where: str = ""


class Hazards:
    """What strikes processes from within. Moments outside any process do not count."""

    def __init__(self) -> None:
        self.fuses: list[Fuse] = []
        self.interleave = False
        self.fired: Counter[str] = Counter()
        self.wrongs: list[str] = []

    async def kill(self) -> None:
        """End the process that does what is being done now."""
        process = running.get()
        assert process is not None
        process.dead = True
        self.fired["killed"] += 1

    async def fail(self) -> None:
        """Fail one operation of storage, before or after it is carried out."""
        self.fired["storage failed"] += 1
        raise TransientError("storage")

    async def moment(self, when: str, where: str) -> None:
        """Something is about to happen, or has happened."""
        process = running.get()
        if process is None:
            return
        if self.interleave:
            await asyncio.sleep(0)
        if process.dead:
            raise KilledError
        for fuse in [fuse for fuse in self.fuses if fuse.where in ("", where, f"{when} {where}")]:
            fuse.after -= 1
            if fuse.after <= 0:
                self.fuses.remove(fuse)
                await fuse.effect()
        if process.dead:
            raise KilledError

    async def stored(self, when: str, operation: str, target: str) -> None:
        """The hook of tables and queues."""
        await self.moment(when, "queue" if operation == "send" else "storage")


class Wire(httpx.AsyncBaseTransport):
    """A process's network. What was sent is carried out even when the sender dies."""

    def __init__(self, world: World, hazards: Hazards) -> None:
        self._inner = Microsoft365Transport(world.cloud)
        self._hazards = hazards
        self._sent: set[asyncio.Task[httpx.Response]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        await self._hazards.moment("before", "network")
        process = running.get()
        mailboxes = {found.decode() for found in _MAILBOX.findall(await request.aread())}
        if process is not None:
            self._hazards.wrongs += [f"two batches at once for {mailbox}" for mailbox in mailboxes if process.busy[mailbox]]
            process.busy.update(mailboxes)
        task = asyncio.ensure_future(self._inner.handle_async_request(request))
        self._sent.add(task)
        task.add_done_callback(self._done)
        try:
            await self._hazards.moment("during", "network")
            response = await asyncio.shield(task)
        finally:
            if process is not None:
                process.busy.subtract(mailboxes)
        await self._hazards.moment("after", "network")
        return response

    def _done(self, task: asyncio.Task[httpx.Response]) -> None:
        self._sent.discard(task)
        if not task.cancelled():
            task.exception()  # its sender may be dead: nobody else asks


class Site(World):
    """An installation whose workers may be killed, with the host that delivers its messages."""

    def __init__(
        self, hazards: Hazards, *, beside: World | None = None, installation: str = INSTALLATION, permanent_delete: bool = True
    ) -> None:
        self.hazards = hazards
        super().__init__(beside=beside, installation=installation, permanent_delete=permanent_delete)
        self.installation = installation
        self.tables.hook = self.queues.hook = hazards.stored
        self._started = 1
        self.processes = [Process(self.context)]
        self.sent: list[Delivery] = []

    def network(self) -> httpx.AsyncBaseTransport:
        """A connection that dies with its process."""
        return Wire(self, self.hazards)

    def process(self, number: int = 0) -> Process:
        """The live process at this place; a dead one is replaced."""
        while len(self.processes) <= number or self.processes[number].dead:
            self._started += 1
            fresh = Process(self.worker(f"worker-{self._started}", installation=self.installation))
            self.processes[number : number + 1] = [fresh]
        return self.processes[number]

    async def purge(self) -> None:
        """Empty all caches of the tenant, behind everybody's back."""
        token = running.set(None)
        await purge_caches(self.tables, TENANT)
        running.reset(token)
        self.hazards.fired["purged"] += 1

    async def call(self, step: Callable[[Context], Awaitable[object]], *, accepted: tuple[type[RollcallError], ...] = ()) -> None:
        """Let a process do something that no message asked for. It may be killed meanwhile, or meet `accepted` errors."""
        process = self.process()

        async def perform() -> None:
            running.set(process)
            try:
                await step(process.context)
            except (KilledError, TransientError):
                pass
            except accepted:
                pass

        await asyncio.create_task(perform())

    async def deliver_next(self, *, at_once: int = 1, doubled: bool = False) -> bool:
        """Deliver what comes next, moving time on to it: `at_once` messages side by side, each to two workers when `doubled`."""
        upcoming = self.queues.next_at()
        if upcoming is None:
            return False
        self.clock.advance(max(upcoming - self.clock.now(), timedelta()))
        batch: list[Delivery] = []
        while len(batch) < at_once and (delivery := self.queues.receive()) is not None:
            batch.append(delivery)
        self.sent += batch
        if doubled:
            self.hazards.fired["delivered twice"] += len(batch)
        pairs = [(delivery, number % 2) for number, delivery in enumerate(batch)]
        if doubled:
            pairs += [(delivery, 1 - number) for delivery, number in pairs]
        await asyncio.gather(*(asyncio.create_task(self._serve(delivery, number)) for delivery, number in pairs))
        return True

    async def drain(self, *, most: int = 1500) -> None:
        """Deliver until no message is left."""
        for _ in range(most):
            if not await self.deliver_next():
                return
        raise AssertionError(f"{most} messages were delivered and there are still {len(self.queues)}")

    async def _serve(self, delivery: Delivery, number: int) -> None:
        process = self.process(number)
        running.set(process)
        try:
            await deliver(process.context, delivery)
        except KilledError:
            self.queues.give_back(delivery, delay=HOST_LEASE)
        except RollcallError:
            if delivery.attempt < MOST_ATTEMPTS:
                self.queues.give_back(delivery, delay=HOST_RETRY)
            else:
                running.set(None)
                self.hazards.fired["poisoned"] += 1
                await poison.bury(process.context, delivery.queue, delivery.body)
