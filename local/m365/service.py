"""The stand-in's core: takes requests, answers as Microsoft 365 would, and counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import IO, Any

import orjson

from local.m365 import batch, routes
from local.m365.call import Call, Caller
from local.m365.counters import Counters
from local.m365.delta import Expiry
from local.m365.entra.service import Entra
from local.m365.faults import FaultKind, Faults
from local.m365.limits import DirectoryLimits, MailboxLimits, resource_units, uploaded
from local.m365.mailbox import not_found
from local.m365.mailbox_states import check_state
from local.m365.routes import Route
from local.m365.tenant import App, Tenant
from local.m365.tokens import TokenChecker
from local.m365.wire import ConnectionDropped, GraphError, Reply, Request, Response, read_json, read_query
from sync_core.ports import Clock

VERSION = "/v1.0"
_REFUSING = frozenset({FaultKind.THROTTLED, FaultKind.ERROR, FaultKind.DROPPED, FaultKind.LATE})
_HIDING = frozenset({FaultKind.LOST})
_DELETING = frozenset({FaultKind.DELETE_NOT_FOUND})
_GATEWAY_TIMEOUT = GraphError(504, "GatewayTimeout", "The request timed out.")


@dataclass(slots=True)
class Settings:
    """How large pages are and how the service refuses; nothing here makes it less strict than Graph."""

    directory_delta_page: int = 100
    members_page: int = 50  # graph/delta-query-groups: a large group's members come in several pieces
    expiry: Expiry = Expiry.LOCATION
    concurrency: int = 4
    requests_per_window: int = 10_000
    upload_per_window: int = 150_000_000  # bytes
    concurrency_retry_after: int = 1


class Microsoft365:
    """Microsoft 365 for some tenants. Single-threaded: use it from one event loop."""

    def __init__(self, clock: Clock, *, settings: Settings | None = None, seed: int = 0, record: IO[bytes] | None = None) -> None:
        self.clock = clock
        self.settings = settings or Settings()
        self.faults = Faults(clock.now, seed)
        self.counters = Counters()
        self.tenants: dict[str, Tenant] = {}
        self._record_file = record
        self.entra = Entra(self.tenants)
        self._checker = TokenChecker(self.entra.keys)
        self._shuffle = Random(seed)
        self._late: list[tuple[datetime, int, Call, Route]] = []
        self._numbers = count(1)
        self._settling = False

    # --- for tests and demos -----------------------------------------------------------------------------------------

    def add_tenant(self, key: str, name: str, app: App, *, region: str = "EU") -> Tenant:
        """Found a tenant."""
        tenant = Tenant(key.lower(), name, region, app, self.clock.now, self.settle, self.faults)
        directory = tenant.directory
        for collection in (directory.users, directory.groups, directory.org_contacts):
            collection.misses = lambda kind: self.faults.misses(kind, "")
        self.tenants[tenant.id] = tenant
        return tenant

    def tenant(self, key: str) -> Tenant:
        """A tenant by id. Raises KeyError."""
        self.settle()
        return self.tenants[key.lower()]

    def record_to(self, file: IO[bytes] | None) -> None:
        """Write one JSON line per request and batch item from now on."""
        self._record_file = file

    def now(self) -> datetime:
        """The time now, in UTC."""
        return self.clock.now()

    def settle(self) -> None:
        """Carry out the late writes that are due."""
        if not self._late or self._settling:
            return
        self._settling = True
        now = self.now()
        due = sorted((entry for entry in self._late if entry[0] <= now), key=lambda entry: entry[:2])
        self._late = [entry for entry in self._late if entry[0] > now]
        for _, _, call, route in due:
            self._run(call, route)
        self._settling = False

    @property
    def pending(self) -> int:
        """How many late writes are still to come."""
        return len(self._late)

    # --- HTTP calls --------------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Answer a request. Raises ConnectionDropped when the connection ends without an answer."""
        self.settle()
        path = request.path.partition("?")[0]
        if not path.startswith(f"{VERSION}/"):
            return self._sign_in(request, path)
        self.counters.http_calls += 1
        try:
            if len(request.body) > batch.LARGEST:
                raise GraphError(413, "RequestEntityTooLarge", "The request is larger than 4 MB.")
            caller = self._checker.check(request.headers.get("authorization", ""), self.now())
            tenant = self.tenants.get(caller.tenant)
            if tenant is None:
                raise GraphError(401, "InvalidAuthenticationToken", "The tenant of the token is unknown.")
            if path == f"{VERSION}/$batch":
                reply = await self._serve_batch(request, tenant, caller)
            else:
                body = _body(request)
                if body is not None and request.method in ("POST", "PATCH") and not _is_json(request.headers):
                    raise GraphError(415, "RequestBodyRead", "The Content-Type must be application/json.")
                inner = request.path[len(VERSION) :]
                calls: set[str] = set()
                reply = await self._serve(
                    tenant, caller, request.method, inner, request.headers, body, request.base, None, 0, calls
                )
                self.counters.mailbox_calls.update(calls)
        except GraphError as error:
            reply = error.reply(str(next(self._numbers)))
            self.counters.statuses[reply.status] += 1
        return reply.response()

    def _sign_in(self, request: Request, path: str) -> Response:
        """What login.microsoftonline.com answers."""
        response = self.entra.handle(request, self.now())
        if response is None:
            self.counters.violations.append(f"{request.method} {path}")
            return GraphError(404, "NotFound", "There is nothing here.").reply().response()
        self.counters.token_calls += 1
        return response

    async def _serve_batch(self, request: Request, tenant: Tenant, caller: Caller) -> Reply:
        if request.method != "POST":
            raise GraphError(405, "Request_BadRequest", "A batch must be sent by POST.")
        self.counters.batches += 1
        number = self.counters.batches
        whole = Call(self, tenant, caller, "POST", "/$batch", "/$batch", (), {}, request.headers, None, request.base)
        if wait := self.faults.latency(whole, whole_batch=True):
            await self.clock.sleep(wait)
        struck = self.faults.strike(_REFUSING, whole, whole_batch=True)
        if struck is not None and struck.kind is not FaultKind.LATE:
            raise struck.refusal()
        if struck is not None:
            for item in batch.read(request.body):
                self._postpone_item(item, tenant, caller, request.base, struck.delay)
            raise _GATEWAY_TIMEOUT
        reply = await batch.serve(self, request, caller, self._shuffle, number)
        if lost := self.faults.strike(_HIDING, whole, whole_batch=True):
            raise ConnectionDropped(executed=True) if lost.answer == "drop" else _GATEWAY_TIMEOUT
        self.counters.statuses[200] += 1
        return reply

    def _postpone_item(self, item: batch.Item, tenant: Tenant, caller: Caller, base: str, delay: float) -> None:
        try:
            call, route = self._prepare(tenant, caller, item.method, item.url, item.headers, item.body, base, item.id)
        except GraphError:
            return
        self._postpone(call, route, delay)

    async def serve_item(
        self, item: batch.Item, request: Request, caller: Caller, outlook: asyncio.Semaphore, number: int, calls: set[str]
    ) -> Reply:
        """Answer one item of a batch; Outlook items wait for one of its places. The mailbox joins `calls`."""
        tenant = self.tenants[caller.tenant]
        args = (tenant, caller, item.method, item.url, item.headers, item.body, request.base, item.id, number, calls)
        segments = item.url.partition("?")[0].strip("/").split("/")
        try:
            if len(segments) > 2 and segments[0].lower() == "users":
                async with outlook:
                    return await self._serve(*args)
            return await self._serve(*args)
        except GraphError as error:
            return error.reply(str(next(self._numbers)))
        except ConnectionDropped:
            return _GATEWAY_TIMEOUT.reply(str(next(self._numbers)))

    # --- single requests ---------------------------------------------------------------------------------------------

    async def _serve(
        self,
        tenant: Tenant,
        caller: Caller,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        base: str,
        item: str | None,
        number: int,
        calls: set[str],
    ) -> Reply:
        status = 0
        try:
            call, route = self._prepare(tenant, caller, method, path, headers, body, base, item)
            if call.mailbox is not None:
                calls.add(call.mailbox.owner)
            reply = await (self._outlook(call, route) if route.outlook else self._directory(call, route))
            status = reply.status
            return reply
        except GraphError as error:
            status = error.status
            raise
        finally:
            self.counters.requests += 1
            self.counters.statuses[status] += 1
            if self._record_file is not None:
                self._record(method, path, body, status, caller, tenant, item, number)

    def _prepare(
        self,
        tenant: Tenant,
        caller: Caller,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        base: str,
        item: str | None,
    ) -> tuple[Call, Route]:
        """Find the route and check the permissions."""
        plain, _, query = path.partition("?")
        try:
            route, params = routes.find(method, plain)
        except GraphError:
            self.counters.templates[f"{method} ?"] += 1
            self.counters.violations.append(f"{method} {plain}")
            raise
        self.counters.templates[f"{method} {route.template}"] += 1
        options = read_query(query) if query else {}
        call = Call(self, tenant, caller, method, path, route.template, params, options, headers, body, base, None, item)
        if not route.outlook:
            if not route.permissions & caller.roles:
                raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
            return call, route
        user = tenant.directory.user(params[0])
        mailbox = tenant.mailboxes.get(user["id"]) if user is not None else None
        in_scope = tenant.app.scope is None or (user is not None and user["id"] in tenant.app.scope)
        if not route.permissions & (caller.roles | (tenant.app.scoped if in_scope else frozenset())):
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if user is None or mailbox is None:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{params[0]}' is invalid.")
        call.mailbox = mailbox
        self.counters.mailboxes[mailbox.owner] += 1
        return call, route

    async def _outlook(self, call: Call, route: Route) -> Reply:
        box = call.box
        key = (call.caller.app, box.owner)
        limits = call.tenant.mailbox_limits.get(key)
        if limits is None:
            settings = self.settings
            limits = MailboxLimits(settings.concurrency, settings.requests_per_window, settings.upload_per_window)
            call.tenant.mailbox_limits[key] = limits
        limits.enter(self.now(), self.settings.concurrency_retry_after, uploaded(call.method, call.body))
        width = self.counters.width(box.owner)
        width.turn(self.now(), 1)
        try:
            return await self._perform(call, route)
        finally:
            width.turn(self.now(), -1)
            limits.leave()

    async def _directory(self, call: Call, route: Route) -> Reply:
        limits = call.tenant.directory_limits.setdefault(call.caller.app, DirectoryLimits())
        units = resource_units(call.template, call.query)
        headers = limits.take(self.now(), units, len(call.tenant.directory.users.objects))
        reply = await self._perform(call, route)
        reply.headers = {**reply.headers, **headers}
        return reply

    async def _perform(self, call: Call, route: Route) -> Reply:
        """Let time pass, let faults strike, and carry the request out."""
        if not self.faults.active:
            await asyncio.sleep(0)  # requests sent at the same time are under way at the same time
            return self._run(call, route)
        wait = self.faults.latency(call)
        await (self.clock.sleep(wait) if wait else asyncio.sleep(0))
        self.settle()
        struck = self.faults.strike(_REFUSING, call)
        if struck is not None:
            if struck.kind is FaultKind.LATE:
                self._postpone(call, route, struck.delay)
                raise _GATEWAY_TIMEOUT
            raise struck.refusal()
        reply = self._run(call, route)
        if lost := self.faults.strike(_HIDING, call):
            raise ConnectionDropped(executed=True) if lost.answer == "drop" else _GATEWAY_TIMEOUT
        if call.method == "DELETE" and reply.status == 204 and self.faults.strike(_DELETING, call):
            raise not_found()
        return reply

    def _postpone(self, call: Call, route: Route, delay: float) -> None:
        self._late.append((self.now() + timedelta(seconds=delay), next(self._numbers), call, route))

    @staticmethod
    def _run(call: Call, route: Route) -> Reply:
        """Carry a request out, at once. Errors become replies."""
        try:
            if call.mailbox is not None:
                check_state(call.mailbox, call.method, route)
            return route.handler(call)
        except GraphError as error:
            return error.reply()

    def _record(
        self, method: str, path: str, body: Any, status: int, caller: Caller, tenant: Tenant, item: str | None, number: int
    ) -> None:
        assert self._record_file is not None
        line: dict[str, Any] = {
            "time": self.now(),
            "tenant": tenant.id,
            "method": method,
            "path": path,
            "body": f"{len(body)} bytes" if isinstance(body, bytes) else body,
            "status": status,
        }
        if item is not None:
            line |= {"batch": number, "item": item}
        line["permissions"] = sorted(caller.roles)
        self._record_file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _body(request: Request) -> Any:
    """JSON, but for what is written to a stream."""
    if request.method == "PUT" and request.path.partition("?")[0].endswith("/$value"):
        return request.body
    return read_json(request.body) if request.body else None


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
