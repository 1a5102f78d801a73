"""Sends sub-requests in batches: shared between mailboxes, repeated one by one, never two batches at a time for one mailbox.

Graph carries out at most four items of a batch side by side and allows an app four requests at a time on a mailbox
(https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits): one batch in flight uses a mailbox's whole width.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import httpx
import orjson
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from cloud.graph import requests as build
from cloud.graph.client import Client
from cloud.graph.errors import Answer, answer_of, error_for, retry_after
from cloud.graph.requests import LARGEST, SubRequest
from cloud.graph.retry import Patience, is_lost
from cloud.graph.transport import Reply
from sync_core.errors import AnswerLostError, ParkedError, RollcallError
from sync_core.model import Spent
from sync_core.ports import Clock

_LINGER = 5.0
"""Seconds until a shared batch goes out even though a participant is still busy, should participants wait for one another."""


class Gates:
    """Lets one batch at a time through to each mailbox, whichever piece of work it belongs to."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def gate(self, tenant: str, mailbox: str) -> asyncio.Lock:
        """The lock to hold while a batch for the mailbox is in flight or its Retry-After runs."""
        return self._locks.setdefault((tenant, mailbox.lower()), asyncio.Lock())


@dataclass(eq=False, slots=True)
class _Participant:
    sender: Sender
    waiting: int = 0


_current: ContextVar[_Participant | None] = ContextVar("participant", default=None)

Result = Answer | Exception


@dataclass(eq=False, slots=True)
class _Group:
    """The requests of one mailbox that go into the same batch."""

    requests: Sequence[SubRequest]
    participant: _Participant | None
    results: asyncio.Future[list[Result]]
    flight: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True)
class _Bin:
    groups: list[_Group] = field(default_factory=list)
    size: int = 0

    def add(self, group: _Group) -> None:
        self.groups.append(group)
        self.size += len(group.requests)


class Sender:
    """Sends what one piece of work asks of a tenant's mailboxes."""

    def __init__(self, tenant: str, client: Client, gates: Gates, clock: Clock, spent: Spent) -> None:
        self._tenant = tenant
        self._client = client
        self._url = f"{client.base_url}/$batch"
        self._gates = gates
        self._clock = clock
        self._spent = spent
        self._busy = 0
        self._pool: list[_Bin] = []
        self._flights: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.TimerHandle | None = None

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Take part in shared batches. Tasks started inside take part together with this one."""
        if self._participant() is not None:
            yield
            return
        token = _current.set(_Participant(self))
        self._busy += 1
        try:
            yield
        finally:
            _current.reset(token)
            self._busy -= 1
            self._flush_soon()

    async def send(self, mailbox: str, requests: Sequence[SubRequest]) -> list[Answer | RollcallError]:
        """Send 1 to 20 sub-requests of one mailbox; good answers and errors come in the same order.

        Raises only when nothing was sent at all: TenantError, TransientError.
        """
        if not 1 <= len(requests) <= LARGEST:
            raise ValueError(f"a batch takes 1 to {LARGEST} requests, not {len(requests)}")
        participant = self._participant()
        gate = self._gates.gate(self._tenant, mailbox)
        self._rest(participant)
        try:
            await gate.acquire()
        finally:
            self._wake(participant)
        try:
            return await self._until_settled(mailbox, requests, participant)
        finally:
            gate.release()

    async def _until_settled(
        self, mailbox: str, requests: Sequence[SubRequest], participant: _Participant | None
    ) -> list[Answer | RollcallError]:
        patience = Patience(mailbox, self._clock)
        results = await self._round(requests, participant)
        good: list[Answer | RollcallError] = [result for result in results if isinstance(result, Answer) and result.ok]
        if len(good) == len(requests):
            return good  # nearly always: then there is nothing to think about for each of them
        pending: Sequence[int] = range(len(requests))
        sent = False
        while True:
            sent = sent or any(isinstance(results[index], Answer) or is_lost(results[index]) for index in pending)
            pending = [index for index in pending if patience.is_worth(results[index], repeatable=requests[index].repeatable)]
            if not pending:
                break
            again = [results[index] for index in pending]
            try:
                delay = patience.wait(again)
            except ParkedError as parked:
                for index in pending:
                    results[index] = parked
                break
            refused = any(isinstance(result, Answer) and result.status == 401 for result in again)
            await self._pause(delay, participant, renew=refused)
            answers = await self._round([requests[index] for index in pending], participant)
            for index, answer in zip(pending, answers, strict=True):
                results[index] = answer
        if not sent:
            raise error_for(next(result for result in results if isinstance(result, Exception)))
        return [_settled(request, result) for request, result in zip(requests, results, strict=True)]

    async def _pause(self, delay: float, participant: _Participant | None, *, renew: bool) -> None:
        self._rest(participant)
        try:
            if renew:
                await self._client.renew(self._tenant)
            if delay:
                await self._clock.sleep(delay)
        finally:
            self._wake(participant)

    async def _round(self, requests: Sequence[SubRequest], participant: _Participant | None) -> list[Result]:
        group = _Group(requests, participant, asyncio.get_running_loop().create_future())
        self._place(group)
        self._rest(participant)
        try:
            return await group.results
        except asyncio.CancelledError:
            self._wake(participant)
            if group.flight is not None:
                await asyncio.wait([group.flight])  # it still occupies the mailbox: keep the gate closed
            raise

    # --- the pool ---

    def _place(self, group: _Group) -> None:
        size = len(group.requests)
        if group.participant is None or size >= LARGEST:
            self._launch([group])
            return
        fitting = next((shared for shared in self._pool if shared.size + size <= LARGEST), None)
        if fitting is None:
            fitting = _Bin()
            self._pool.append(fitting)
        fitting.add(group)
        if fitting.size == LARGEST:
            self._pool.remove(fitting)
            self._launch(fitting.groups)
        self._set_deadline()

    def _rest(self, participant: _Participant | None) -> None:
        if participant is not None:
            participant.waiting += 1
            if participant.waiting == 1:
                self._busy -= 1
                self._flush_soon()

    def _wake(self, participant: _Participant | None) -> None:
        if participant is not None:
            participant.waiting -= 1
            if participant.waiting == 0:
                self._busy += 1

    def _flush_soon(self) -> None:
        if self._busy <= 0 and self._pool:
            # not at once: tasks that were started together have not all said yet that they take part
            asyncio.get_running_loop().call_soon(self._flush_if_quiet)

    def _flush_if_quiet(self) -> None:
        if self._busy <= 0:
            self._flush()

    def _flush(self) -> None:
        pool, self._pool = self._pool, []
        self._set_deadline()
        for shared in pool:
            self._launch(shared.groups)

    def _set_deadline(self) -> None:
        if self._pool and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(_LINGER, self._flush)
        elif not self._pool and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _launch(self, groups: list[_Group]) -> None:
        groups = [group for group in groups if not group.results.done()]  # done: cancelled while it waited
        if groups:
            flight = asyncio.get_running_loop().create_task(self._fly(groups))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)
            for group in groups:
                group.flight = flight

    # --- the batch ---

    async def _fly(self, groups: list[_Group]) -> None:
        try:
            results = await self._post([request for group in groups for request in group.requests])
        except BaseException as error:
            for group in groups:
                if not group.results.done():
                    self._wake(group.participant)
                    group.results.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for group in groups:
            end = start + len(group.requests)
            if not group.results.done():
                # awake from now on, not only when its task runs: else the pool could be flushed in between
                self._wake(group.participant)
                group.results.set_result(results[start:end])
            start = end

    async def _post(self, requests: Sequence[SubRequest]) -> list[Result]:
        try:
            reply = await self._client.call(
                self._tenant,
                "POST",
                self._url,
                content=build.batch(requests),
                spent=self._spent,
                requests=len(requests),
            )
        except (RollcallError, httpx.HTTPError) as error:
            return [error] * len(requests)
        results = _results(reply, requests)
        self._spent.throttled += sum(isinstance(result, Answer) and not result.ok and result.throttled for result in results)
        return results

    def _participant(self) -> _Participant | None:
        participant = _current.get()
        return participant if participant is not None and participant.sender is self else None


class _Body(Struct, gc=False):
    id: str | None = None
    error: dict[str, Any] | None = None


class _Item(Struct, gc=False):
    id: str
    status: int
    headers: dict[str, str] | None = None
    body: _Body | None = None


class _Brief(Struct):
    """What is read of a batch's answer when nothing else is asked: most of Graph's bytes tell us what we have just written."""

    responses: list[_Item]


_BRIEF = Decoder(_Brief)


def _results(reply: Reply, requests: Sequence[SubRequest]) -> list[Result]:
    if reply.status != 200:
        return [answer_of(reply)] * len(requests)
    results: list[Result] = [httpx.RemoteProtocolError("the batch was answered without this item")] * len(requests)
    if all(request.brief for request in requests):
        try:
            for made in _BRIEF.decode(reply.content).responses:
                results[int(made.id)] = _brief_answer(made)
        except (DecodeError, ValueError, IndexError):
            pass  # the longer way may still find answers in it
        else:
            return results
    try:
        for item in orjson.loads(reply.content)["responses"]:
            headers = item.get("headers")
            asked = retry_after(headers) if headers and item["status"] >= 400 else None
            index, body = int(item["id"]), item.get("body")
            if requests[index].brief and item["status"] < 300:
                body = body.get("id") if isinstance(body, dict) else None
            results[index] = Answer(item["status"], body, asked)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        pass  # whatever could not be read counts as unanswered
    return results


def _brief_answer(item: _Item) -> Answer:
    if item.status < 300:
        return Answer(item.status, item.body.id if item.body is not None else None)
    body = {"error": item.body.error} if item.body is not None else None
    return Answer(item.status, body, retry_after(item.headers) if item.headers else None)


def _settled(request: SubRequest, result: Result) -> Answer | RollcallError:
    if isinstance(result, Answer) and result.ok:
        return result
    if not request.repeatable and is_lost(result):
        return AnswerLostError("the answer to a create was lost")
    return error_for(result)
