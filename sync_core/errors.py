"""What can go wrong, as the engine sees it.

RollcallError
├── TransientError        worth trying again soon; nothing is known to be wrong
│   └── ParkedError       the other side names a waiting time longer than a worker should hold: give the message back
├── AnswerLostError       a create was sent and may or may not have happened: look it up by its mark before repeating it
├── MailboxError          one mailbox cannot be served: set it aside with a reason, the run goes on
│   ├── MailboxGoneError  the account or mailbox no longer exists
│   └── LedgerDoubtError  our belief about the mailbox is wrong: list it by mark before anything is created
├── SourceError           a source could not be read completely: the run is held and deletes nothing
│   └── DeltaExpiredError the delta link is too old: read in full and diff
├── TenantError           consent or credential is gone: stop the tenant and say so
├── NotAdmittedError      the tenant must not be served here, or not now: hold the run
├── ConflictError         somebody else changed the row first (a conditional write failed)
│   └── StaleError        what the caller has read is not the newest: read it again
├── LostPagesError        a head names pages that are gone: treat the cache as lost, never as empty
├── ClaimLostError        this worker no longer owns the replica: stop without writing
├── InputError            what the caller sent is wrong; says which field and what to do
│   └── MessageError      a queue message nobody can act on: poison at once
└── NotFoundError         the thing the caller names does not exist

Anything else that is raised is a bug and goes to the poison queue. No message holds personal data: object ids only.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a mailbox was set aside, a run was held or a tenant was stopped. Stable: shown to admins and stored."""

    # mailbox level
    NO_MAILBOX = "no_mailbox"  # no Exchange Online mailbox (no licence, on-premises, not enabled)
    MAILBOX_GONE = "mailbox_gone"
    OUT_OF_SCOPE = "out_of_scope"  # outside the app's access scope (RBAC for Applications)
    QUOTA_FULL = "quota_full"
    MAILBOX_MOVING = "mailbox_moving"  # between two servers, for hours
    MAILBOX_BUSY = "mailbox_busy"  # still throttled after the worker's patience
    REFUSED = "refused"  # Graph refused a request for a reason we do not know: the code is in the detail
    DELETIONS_HELD = "deletions_held"  # the mailbox's own brake
    INTERNAL_ERROR = "internal_error"
    # run level
    SOURCE_UNREADABLE = "source_unreadable"
    SOURCE_DROPPED = "source_dropped"
    TARGETS_DROPPED = "targets_dropped"
    TOO_MANY_FAILURES = "too_many_failures"
    TENANT_STOPPED = "tenant_stopped"
    SNAPSHOT_GONE = "snapshot_gone"  # what an undo or a paused sync needs was purged
    REGION_REFUSED = "region_refused"  # the tenant's data must not be handled where this app runs
    REGION_UNKNOWN = "region_unknown"  # Microsoft did not say where the tenant's data must stay
    # tenant level
    CONSENT_MISSING = "consent_missing"
    CREDENTIAL_REJECTED = "credential_rejected"
    TENANT_UNKNOWN = "tenant_unknown"
    DISCONNECTED = "disconnected"  # an admin is taking the tenant out


class RollcallError(Exception):
    """Base of every expected error."""


class TransientError(RollcallError):
    """Worth trying again."""


class ParkedError(TransientError):
    """Give the message back and try again after `delay` seconds."""

    def __init__(self, message: str, *, delay: float) -> None:
        super().__init__(message)
        self.delay = delay


class AnswerLostError(RollcallError):
    """A non-repeatable request was sent and its outcome is unknown."""


class MailboxError(RollcallError):
    """One mailbox cannot be served."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail  # an error code, never a message of the other side


class MailboxGoneError(MailboxError):
    """The account or its mailbox no longer exists."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Reason.MAILBOX_GONE, detail)


class LedgerDoubtError(MailboxError):
    """An item or folder we believed in is not there (any more)."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Reason.INTERNAL_ERROR, detail)


class SourceError(RollcallError):
    """A source could not be read completely."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or "the source could not be read completely")
        self.detail = detail


class DeltaExpiredError(SourceError):
    """The delta link is no longer accepted."""


class TenantError(RollcallError):
    """Consent or credential is gone."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class NotAdmittedError(RollcallError):
    """The tenant must not be served here, or not now. Nothing of it has been touched."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class ConflictError(RollcallError):
    """A conditional write failed: the row exists already or has changed."""


class StaleError(ConflictError):
    """What the caller has read, and wants to change, is not the newest any more."""


class LostPagesError(RollcallError):
    """Part of a packed set of pages is gone."""


class ClaimLostError(RollcallError):
    """Another worker owns the replica now, or our claim ran out."""


class InputError(RollcallError):
    """What the caller sent is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


class MessageError(InputError):
    """A queue message that can never be handled."""


class NotFoundError(RollcallError):
    """The thing the caller names does not exist."""
