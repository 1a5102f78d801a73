"""Switches of a running stand-in, under `/control`: what a demo in another process needs.

| request | does |
|---|---|
| GET /control/tenants | who is served: id, display name, client id |
| GET /control/counters | everything served so far, and the mails that changes of events would have sent, by tenant |
| POST /control/counters/reset | count from zero |
| GET /control/faults | faults in force and how often each kind fired |
| POST /control/faults | put a fault in force: the fields of `faults.Fault` |
| DELETE /control/faults | lift all faults |
| POST /control/advance `{"seconds": 3600}` | set the clock ahead |
| POST /control/directory `{"tenant", "operations": [...]}` | act as the directory's admin |
| POST /control/mailbox `{"tenant", "user", "operations": [...]}` | act as its user, on contacts and calendars, or as Exchange |
| POST /control/token `{"tenant", "user" or "client", "defect"}` | a token for the app's API, right or wrong (`entra.minting`) |
| POST /control/keys `{"keep": true}` | sign tokens with a new key; without `keep` the old one is gone at once |
| GET /control/mailbox?tenant=..&user=.. | the whole mailbox as it is |
"""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from local.m365.control.directory import DirectoryOrder, administer
from local.m365.control.mailboxes import MailboxOrder, picture, use
from local.m365.control.orders import Strict
from local.m365.delta import Expiry
from local.m365.entra.errors import EntraError
from local.m365.entra.minting import mint
from local.m365.faults import Fault, FaultKind
from local.m365.service import Microsoft365
from local.m365.wire import GraphError, Reply, Request, read_json, read_query

Result = TypeVar("Result")


class FaultOrder(Strict):
    """A fault, as POST /control/faults takes it."""

    kind: FaultKind
    times: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)
    seconds: float | None = Field(default=None, gt=0)
    scope: Literal["request", "batch", "all"] = "request"
    method: str = ""
    path: str = ""
    template: str = ""
    mailbox: str = ""
    tenant: str = ""
    object: str = ""
    delay: float = Field(default=0.0, ge=0)
    status: int = 503
    code: str = ""
    retry_after: int | None = None
    answer: Literal["drop", "504"] = "drop"
    style: Expiry = Expiry.SYNC_STATE_NOT_FOUND


class TokenOrder(Strict):
    """A token for the app's API: of a person (by id or user principal name), or of a client."""

    tenant: str
    user: str = ""
    client: str = ""
    defect: str = ""


class KeyOrder(Strict):
    """A new signing key. Is the old one still published?"""

    keep: bool = True


def handle(service: Microsoft365, request: Request) -> Reply:
    """Answer a control request."""
    path, _, query = request.path.partition("?")
    try:
        match request.method, path.removeprefix("/control/"):
            case "GET", "tenants":
                known = service.tenants.values()
                return Reply(200, [{"id": item.id, "displayName": item.name, "clientId": item.app.client_id} for item in known])
            case "GET", "counters":
                mails = {tenant.id: tenant.mailed() for tenant in service.tenants.values()}
                return Reply(200, {**service.counters.snapshot(), "mails": mails})
            case "POST", "counters/reset":
                service.counters.reset()
                for tenant in service.tenants.values():
                    tenant.forget_mails()
                return Reply(204)
            case "GET", "faults":
                shown = [_show_fault(fault) for fault in service.faults.active]
                return Reply(200, {"active": shown, "fired": dict(service.faults.fired)})
            case "POST", "faults":
                order = _read(FaultOrder, request)
                service.faults.add(Fault(**order.model_dump()))
                return Reply(204)
            case "DELETE", "faults":
                service.faults.clear()
                return Reply(204)
            case "POST", "advance":
                return _advance(service, request)
            case "POST", "directory":
                change = _read(DirectoryOrder, request)
                tenant = service.tenant(change.tenant)
                return Reply(200, {"ids": [administer(tenant, act) for act in change.operations]})
            case "POST", "mailbox":
                acts = _read(MailboxOrder, request)
                return Reply(200, {"ids": [use(service.tenant(acts.tenant), acts.user, act) for act in acts.operations]})
            case "POST", "token":
                wanted = _read(TokenOrder, request)
                tenant, keys = service.tenant(wanted.tenant), service.entra.keys
                options = {"user": wanted.user, "client": wanted.client, "defect": wanted.defect}
                return Reply(200, {"token": mint(keys, tenant, service.now(), **options)})
            case "POST", "keys":
                service.entra.keys.rotate(keep=_read(KeyOrder, request).keep)
                return Reply(204)
            case "GET", "mailbox":
                options = read_query(query)
                return Reply(200, picture(service.tenant(options["tenant"]).mailbox(options["user"])))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return GraphError(400, "BadRequest", f"{place}: {first['msg']}").reply()
    except KeyError as error:
        return GraphError(404, "NotFound", f"There is no {error}.").reply()
    except ValueError as error:
        return GraphError(400, "BadRequest", str(error)).reply()
    except EntraError as error:
        return GraphError(404, "NotFound", error.description).reply()
    except GraphError as error:
        return error.reply()
    return GraphError(404, "NotFound", f"There is no control '{request.method} {path}'.").reply()


def _read(model: type[Result], request: Request) -> Result:
    return TypeAdapter(model).validate_python(read_json(request.body))


def _show_fault(fault: Fault) -> dict[str, Any]:
    return {item.name: getattr(fault, item.name) for item in fields(fault) if item.name != "predicate"}


def _advance(service: Microsoft365, request: Request) -> Reply:
    body = read_json(request.body)
    seconds = body.get("seconds") if isinstance(body, dict) else None
    if not isinstance(seconds, int | float) or seconds < 0:
        raise GraphError(400, "BadRequest", "seconds: must be a number, 0 or more.")
    advance = getattr(service.clock, "advance", None)
    if advance is None:
        raise GraphError(409, "Conflict", "This clock cannot be set.")
    advance(timedelta(seconds=seconds))
    service.settle()
    return Reply(200, {"now": service.now()})
