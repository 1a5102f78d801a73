"""How an endpoint is declared; there is no other way to have one.

    endpoints = Endpoints("Syncs")  # listed in api/surface.py; the name is the tag in the OpenAPI document

    class SyncPath(Strict):
        sync: SyncId

    @endpoints.post("syncs/{sync}/pause", roles=ADMINS, audits="sync.paused")
    async def pause_sync(call: Call, path: SyncPath) -> SyncShown:
        \"\"\"The summary. What follows describes the operation.\"\"\"
        return shown(await admin.pause_sync(call.context, call.tenant, path.sync))

- The parameters `path`, `query` and `body` are checked against the models they are annotated with (`body: bytes` with
  `accepts=` takes files); the annotation of the result is the model of the answer. Names in JSON are in snake case.
- `roles` says who may call: a set of roles, `EVERYONE` who is signed in to a connected tenant, or `ANYONE`.
- What is not a GET says in `audits` how the audit trail names it. The entry is written before the handler runs. A handler with a
  parameter `audit: Audit` writes it by itself instead: `await audit(before=..., after=...)` right before its change.
- Return a model, None (204), or `Reply` for an ETag, a Location or another status. Raise InputError, NotFoundError and the other
  errors of `sync_core.errors`, or ProblemError for a code of your own.
- `call.tenant` goes into every call of a store: it is the only tenant there is. No route, body or query names one.
- `conditional=True` wants If-Match, in `call.version`; `idempotent=True` honours Idempotency-Key; `status=202` is for long work.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from inspect import getdoc, signature
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import azure.functions as func
from pydantic import BaseModel, ConfigDict, StringConstraints

from api.principal import Principal, Role
from sync_core.engine.context import Context

ANYONE: Literal["anyone"] = "anyone"
EVERYONE: Literal["everyone"] = "everyone"
ADMINS = frozenset({Role.ADMIN})
READERS = frozenset({Role.ADMIN, Role.COMPLIANCE, Role.VIEWER})
COMPLIANCE = frozenset({Role.COMPLIANCE})
"""Not admins too: who runs the syncs decides over nobody's rights, and reads neither exports nor the trail of their own acts."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
LARGEST_JSON = 256 * 1024

Roles = frozenset[Role] | Literal["anyone", "everyone"]
Shown = TypeVar("Shown")
Item = TypeVar("Item")
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[object]])

SyncId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
RunId = Annotated[str, StringConstraints(pattern=r"^[0-9]{13}-[0-9a-f]{8}$")]


class Strict(BaseModel):
    """A model of what is sent: nothing but its fields."""

    model_config = ConfigDict(extra="forbid")


class Listed(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = None


class Audit(Protocol):
    """Writes the entry of a change to the audit trail, with settings as they were and as they are to be."""

    async def __call__(self, *, before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None) -> None:
        """Call it once, right before the change. What follows may still fail: better an entry too many than one too few."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be carried out. `version` is the ETag in If-Match without its quotes, "" for any."""

    context: Context
    caller: Principal | None
    correlation: str
    version: str
    request: func.HttpRequest = field(repr=False)

    @property
    def principal(self) -> Principal:
        """Who calls. Raises LookupError where anyone may."""
        if self.caller is None:
            raise LookupError("anyone may call this endpoint: it has no principal")
        return self.caller

    @property
    def tenant(self) -> str:
        """The tenant that the request acts on."""
        return self.principal.tenant


@dataclass(frozen=True, slots=True)
class Reply(Generic[Shown]):
    """An answer with more than a body. `status` 0 is the one declared; `location` is a path below /api/, or a whole address."""

    body: Shown
    etag: str = ""
    location: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: everything that its serving and its description need."""

    tag: str
    name: str
    method: str
    route: str
    handler: Callable[..., Awaitable[object]]
    roles: Roles
    audits: str
    status: int
    also: tuple[int, ...]
    accepts: tuple[str, ...]
    produces: str
    largest: int
    connected: bool
    conditional: bool
    idempotent: bool
    path: type[BaseModel] | None
    query: type[BaseModel] | None
    body: Any
    answer: Any
    audits_itself: bool

    @property
    def doc(self) -> str:
        """What the handler says of itself."""
        return getdoc(self.handler) or ""


class Endpoints:
    """The endpoints of one module, as a blueprint of functions."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.declared: list[Endpoint] = []
        self.blueprint = func.Blueprint()  # type: ignore[no-untyped-call] # the package does not annotate it

    def get(self, route: str, *, roles: Roles, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a read. Options: see `declare`."""
        return self.declare("GET", route, roles=roles, **options)

    def post(self, route: str, *, roles: Roles, audits: str = "", **options: Any) -> Callable[[Handler], Handler]:
        """Declare a POST: one that is audited, or one that only `reads` what should not be asked for in an address."""
        return self.declare("POST", route, roles=roles, audits=audits, **options)

    def put(self, route: str, *, roles: Roles, audits: str, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a PUT."""
        return self.declare("PUT", route, roles=roles, audits=audits, **options)

    def patch(self, route: str, *, roles: Roles, audits: str, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a PATCH, a JSON merge patch (RFC 7396) unless `accepts` says otherwise."""
        return self.declare("PATCH", route, roles=roles, audits=audits, **{"accepts": (MERGE_PATCH, JSON), **options})

    def delete(self, route: str, *, roles: Roles, audits: str, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a DELETE."""
        return self.declare("DELETE", route, roles=roles, audits=audits, **options)

    def declare(
        self,
        method: str,
        route: str,
        *,
        roles: Roles,
        audits: str = "",
        reads: bool = False,
        status: int = 200,
        also: tuple[int, ...] = (),
        accepts: tuple[str, ...] = (JSON,),
        produces: str = JSON,
        largest: int = LARGEST_JSON,
        connected: bool = True,
        conditional: bool = False,
        idempotent: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Declare an endpoint.

        `reads` is for a POST that changes nothing. `also` lists further statuses of success, `accepts` the media types of the
        body and `largest` its bytes, `produces` the media type of the answer; `connected=False` lets in callers whose tenant
        is not connected (yet). Raises TypeError for a declaration that does not say enough.
        """

        def declaring(handler: Handler) -> Handler:
            hints = get_type_hints(handler, include_extras=True)
            wanted = list(signature(handler).parameters)
            answer = hints["return"]
            if get_origin(answer) is Reply:
                (answer,) = get_args(answer)
            endpoint = Endpoint(
                tag=self.tag,
                name=handler.__name__,
                method=method,
                route=route,
                handler=handler,
                roles=roles,
                audits=audits,
                status=204 if answer is type(None) and status == 200 else status,
                also=also,
                accepts=accepts,
                produces=produces,
                largest=largest,
                connected=connected,
                conditional=conditional,
                idempotent=idempotent,
                path=hints.get("path"),
                query=hints.get("query"),
                body=hints.get("body"),
                answer=answer,
                audits_itself="audit" in wanted,
            )
            if not endpoint.audits and not (reads or method == "GET"):
                raise TypeError(f"{method} {route}: say in `audits` how the audit trail names it")
            _check(endpoint, wanted)
            self.declared.append(endpoint)
            self._serve(endpoint)
            return handler

        return declaring

    def _serve(self, endpoint: Endpoint) -> None:
        async def function(req: func.HttpRequest) -> func.HttpResponse:
            from api.serving import serve

            return await serve(endpoint, req)

        function.__name__ = endpoint.name
        function.__doc__ = endpoint.doc
        # the check in front of every endpoint is ours: keys of the host are secrets that people share
        routed = self.blueprint.route(endpoint.route, methods=[endpoint.method], auth_level=func.AuthLevel.ANONYMOUS)
        routed(function)


def _check(endpoint: Endpoint, wanted: list[str]) -> None:
    """Refuse a declaration that leaves something open."""
    where = f"{endpoint.method} {endpoint.route}"
    if not endpoint.roles:
        raise TypeError(f"{where}: nobody may call it")
    if endpoint.roles == ANYONE and (endpoint.idempotent or (endpoint.audits and not endpoint.audits_itself)):
        raise TypeError(
            f"{where}: nobody is signed in: it has to write its entries by itself, and nothing can be remembered for it"
        )
    if wanted[:1] != ["call"] or set(wanted) - {"call", "path", "query", "body", "audit"}:
        raise TypeError(f"{where}: takes call, and of path, query, body and audit what it needs")
    named = set(re.findall(r"\{(\w+)", endpoint.route))
    known = set(endpoint.path.model_fields) if endpoint.path else set()
    if named != known:
        raise TypeError(f"{where}: the route names {sorted(named)}, the model of the path {sorted(known)}")
    if "tenant" in named:
        raise TypeError(f"{where}: the tenant comes from the token")
    if not endpoint.doc:
        raise TypeError(f"{where}: has no docstring")
