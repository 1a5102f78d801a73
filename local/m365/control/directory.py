"""Acts of the directory's admin."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, Field, StrictInt

from local.m365 import schema
from local.m365.control.orders import Strict
from local.m365.mailbox import MailboxState
from local.m365.tenant import Tenant


class AddUser(Strict):
    """A new hire. `values` are Graph's property names; userPrincipalName is needed."""

    op: Literal["add"]
    values: dict[str, Any]
    mailbox: MailboxState = MailboxState.OK


class ChangeUser(Strict):
    """Change properties; null clears one."""

    op: Literal["change"]
    user: str
    values: dict[str, Any]


class TurnUser(Strict):
    """Disable, enable, remove (softly), destroy (for good) or restore a user."""

    op: Literal["disable", "enable", "remove", "destroy", "restore"]
    user: str


class SetMailbox(Strict):
    """Set a mailbox state."""

    op: Literal["mailbox"]
    user: str
    state: MailboxState


class SetPhoto(Strict):
    """Give a user a photo (an image in base64, or a drawn one by its seed), or with null take it away."""

    op: Literal["photo"]
    user: str
    photo: Base64Bytes | StrictInt | None


class TurnMembers(Strict):
    """Make objects members of a group, or no longer."""

    op: Literal["join", "leave"]
    group: str
    members: list[str]


class SetApp(Strict):
    """Change the app's consent or permissions; tokens already issued keep theirs. `scoped` holds in the mailboxes of `scope`."""

    op: Literal["app"]
    consent: Literal["granted", "revoked", "disabled"] | None = None
    permissions: list[str] | None = None
    scoped: list[str] | None = None
    scope: list[str] | None = None
    secret: str | None = None


AdminAct = Annotated[AddUser | ChangeUser | TurnUser | SetMailbox | SetPhoto | TurnMembers | SetApp, Field(discriminator="op")]


class DirectoryOrder(Strict):
    """What an admin does, in order."""

    tenant: str
    operations: list[AdminAct]


def administer(tenant: Tenant, act: AdminAct) -> str:
    """Carry it out. Returns the id of the user concerned. Raises KeyError, ValueError and GraphError."""
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
