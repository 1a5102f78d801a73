"""Switches of a running stand-in, under `/control`: what a demo in another process needs.

| request | does |
|---|---|
| GET /control/tenants | who is served: id, display name, client id |
| GET /control/counters | everything served so far |
| POST /control/counters/reset | count from zero |
| GET /control/faults | faults in force and how often each kind fired |
| POST /control/faults | put a fault in force: the fields of `faults.Fault` |
| DELETE /control/faults | lift all faults |
| POST /control/advance `{"seconds": 3600}` | set the clock ahead |
| POST /control/directory `{"tenant", "operations": [...]}` | act as the directory's admin |
| POST /control/mailbox `{"tenant", "user", "operations": [...]}` | act as the user's phone, or as Exchange |
| POST /control/token `{"tenant", "user" or "client", "defect"}` | a token for the app's API, right or wrong (`entra.minting`) |
| POST /control/keys `{"keep": true}` | sign tokens with a new key; without `keep` the old one is gone at once |
| GET /control/mailbox?tenant=..&user=.. | the whole mailbox as it is |
"""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StrictInt, TypeAdapter, ValidationError

from local.m365 import schema
from local.m365.contacts_api import contact_values, show
from local.m365.delta import Expiry
from local.m365.entra.errors import EntraError
from local.m365.entra.minting import mint
from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Folder, Mailbox, MailboxState
from local.m365.service import Microsoft365
from local.m365.tenant import Tenant
from local.m365.wire import GraphError, Reply, Request, read_json, read_query

Values = dict[str, Any]
Result = TypeVar("Result")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultOrder(_Strict):
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


class AddUser(_Strict):
    """A new hire. `values` are Graph's property names; userPrincipalName is needed."""

    op: Literal["add"]
    values: Values
    mailbox: MailboxState = MailboxState.OK


class ChangeUser(_Strict):
    """Change properties; null clears one."""

    op: Literal["change"]
    user: str
    values: Values


class TurnUser(_Strict):
    """Disable, enable, remove (softly), destroy (for good) or restore a user."""

    op: Literal["disable", "enable", "remove", "destroy", "restore"]
    user: str


class SetMailbox(_Strict):
    """Set a mailbox state."""

    op: Literal["mailbox"]
    user: str
    state: MailboxState


class SetPhoto(_Strict):
    """Give a user a photo (an image in base64, or a drawn one by its seed), or with null take it away."""

    op: Literal["photo"]
    user: str
    photo: Base64Bytes | StrictInt | None


class TurnMembers(_Strict):
    """Make objects members of a group, or no longer."""

    op: Literal["join", "leave"]
    group: str
    members: list[str]


class SetApp(_Strict):
    """Change the app's consent or permissions; tokens already issued keep theirs. `scoped` holds in the mailboxes of `scope`."""

    op: Literal["app"]
    consent: Literal["granted", "revoked", "disabled"] | None = None
    permissions: list[str] | None = None
    scoped: list[str] | None = None
    scope: list[str] | None = None
    secret: str | None = None


AdminAct = Annotated[AddUser | ChangeUser | TurnUser | SetMailbox | SetPhoto | TurnMembers | SetApp, Field(discriminator="op")]


class DirectoryOrder(_Strict):
    """What an admin does, in order."""

    tenant: str
    operations: list[AdminAct]


class CreateContact(_Strict):
    """The user adds a contact."""

    op: Literal["create"]
    folder: str = "contacts"
    values: Values


class EditContact(_Strict):
    """The user edits a contact."""

    op: Literal["edit"]
    contact: str
    values: Values


class MoveContact(_Strict):
    """The user moves a contact to another folder."""

    op: Literal["move"]
    contact: str
    folder: str


class DeleteContact(_Strict):
    """The user deletes a contact: it goes to Deleted Items, or for good."""

    op: Literal["delete"]
    contact: str
    permanently: bool = False


class CreateFolder(_Strict):
    """The user makes a folder."""

    op: Literal["createFolder"]
    name: str
    parent: str = "contacts"


class RenameFolder(_Strict):
    """The user renames a folder."""

    op: Literal["renameFolder"]
    folder: str
    name: str


class MoveFolder(_Strict):
    """The user nests a folder under another one."""

    op: Literal["moveFolder"]
    folder: str
    parent: str


class DeleteFolder(_Strict):
    """The user deletes a folder."""

    op: Literal["deleteFolder"]
    folder: str
    permanently: bool = False


class TurnKeys(_Strict):
    """Exchange bumps every change key, or gives every contact a new id."""

    op: Literal["bumpChangeKeys", "changeItemIds"]


PhoneAct = Annotated[
    CreateContact
    | EditContact
    | MoveContact
    | DeleteContact
    | CreateFolder
    | RenameFolder
    | MoveFolder
    | DeleteFolder
    | TurnKeys,
    Field(discriminator="op"),
]


class MailboxOrder(_Strict):
    """What happens to one mailbox, in order. Folders and contacts are named by id; folders also by name."""

    tenant: str
    user: str
    operations: list[PhoneAct]


class TokenOrder(_Strict):
    """A token for the app's API: of a person (by id or user principal name), or of a client."""

    tenant: str
    user: str = ""
    client: str = ""
    defect: str = ""


class KeyOrder(_Strict):
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
                return Reply(200, service.counters.snapshot())
            case "POST", "counters/reset":
                service.counters.reset()
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
                return Reply(200, {"ids": [_administer(tenant, act) for act in change.operations]})
            case "POST", "mailbox":
                acts = _read(MailboxOrder, request)
                return Reply(200, {"ids": [_use(service.tenant(acts.tenant), acts.user, act) for act in acts.operations]})
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


def picture(mailbox: Mailbox) -> dict[str, Any]:
    """A mailbox in full: each folder with its path and contacts, extended properties included."""

    def contacts(folder: Folder) -> list[dict[str, Any]]:
        return [{**show(mailbox, item, immutable=True), "extended": item.extended} for item in folder.contacts.values()]

    shown = []
    for folder in [*mailbox.folders(), mailbox.deleted_items]:
        names = [step.name for step in mailbox.ancestors(folder)][-2::-1]
        shown.append({"id": folder.id, "path": "/".join(names), "extended": folder.extended, "contacts": contacts(folder)})
    return {"user": mailbox.owner, "state": mailbox.state, "folders": shown}


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


def _administer(tenant: Tenant, act: AdminAct) -> str:
    match act:
        case AddUser():
            if not isinstance(act.values.get("userPrincipalName"), str):
                raise ValueError("values.userPrincipalName: is missing")
            schema.check_body("user", act.values)
            return tenant.add_user(act.values, act.mailbox)
        case ChangeUser():
            schema.check_body("user", act.values)
            tenant.change_user(act.user, act.values)
        case TurnUser(op="disable" | "enable" as op):
            tenant.enable_user(act.user, enabled=op == "enable")
        case TurnUser(op="restore"):
            tenant.restore_user(act.user)
        case TurnUser(op=op):
            tenant.remove_user(act.user, permanently=op == "destroy")
        case SetMailbox():
            tenant.set_mailbox_state(act.user, act.state)
        case SetPhoto():
            if act.user not in tenant.directory.users.objects:
                raise KeyError(act.user)
            tenant.set_photo(act.user, act.photo)
        case TurnMembers(op=op):
            (tenant.directory.join if op == "join" else tenant.directory.leave)(act.group, act.members)
        case SetApp():
            tenant.app.consent = act.consent or tenant.app.consent
            tenant.app.secret = act.secret or tenant.app.secret
            if act.permissions is not None:
                tenant.app.permissions = frozenset(act.permissions)
            if act.scoped is not None:
                tenant.app.scoped = frozenset(act.scoped)
            if act.scope is not None:
                tenant.app.scope = frozenset(act.scope)
    return getattr(act, "user", "")


def _use(tenant: Tenant, user: str, act: PhoneAct) -> str:
    box = tenant.mailbox(user)
    match act:
        case CreateContact():
            return box.create(tenant.folder(user, act.folder), *contact_values(act.values)).id
        case EditContact():
            box.change(box.find(act.contact), *contact_values(act.values))
        case MoveContact():
            box.move(box.find(act.contact), tenant.folder(user, act.folder))
        case DeleteContact():
            box.delete(box.find(act.contact), permanently=act.permanently)
        case CreateFolder():
            return box.create_folder(tenant.folder(user, act.parent), act.name).id
        case RenameFolder():
            box.rename_folder(tenant.folder(user, act.folder), act.name)
        case MoveFolder():
            box.move_folder(tenant.folder(user, act.folder), tenant.folder(user, act.parent))
        case DeleteFolder():
            box.delete_folder(tenant.folder(user, act.folder), permanently=act.permanently)
        case TurnKeys(op="bumpChangeKeys"):
            tenant.bump_change_keys(user)
        case TurnKeys():
            tenant.change_item_ids(user)
    return ""
