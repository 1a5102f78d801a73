"""What a mailbox that cannot be reached, or not be written to, answers."""

from __future__ import annotations

from local.m365.mailbox import Mailbox, MailboxState
from local.m365.routes import Route
from local.m365.wire import GraphError


def check_state(mailbox: Mailbox, method: str, route: Route) -> None:
    """Refuse what the mailbox's state forbids (graph/errors, graph/resolve-auth-errors)."""
    match mailbox.state:
        case MailboxState.NONE | MailboxState.ON_PREMISES if route.profile:
            return
        case MailboxState.NONE:
            message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
            raise GraphError(404, "MailboxNotEnabledForRESTAPI", message)
        case MailboxState.ON_PREMISES:
            raise GraphError(404, "MailboxNotHostedInExchangeOnline", "The mailbox is not hosted in Exchange Online.")
        case MailboxState.OUT_OF_SCOPE:
            raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        case MailboxState.MOVING:
            raise GraphError(
                503, "ErrorMailboxMoveInProgress", "Mailbox move in progress. Try again later.", {"Retry-After": "300"}
            )
        case MailboxState.FULL:
            if method in ("POST", "PATCH", "PUT") and not route.template.endswith("permanentdelete"):
                raise GraphError(507, "ErrorQuotaExceeded", "The mailbox is full.")
