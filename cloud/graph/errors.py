"""What Microsoft Graph, its token service and the network answer, told apart by status and `error.code`, never by a message.

https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/best-practices-concept#handling-expected-errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
from msgspec import Struct

from cloud.graph.transport import Reply
from sync_core.errors import (
    ConflictError,
    DeltaExpiredError,
    LedgerDoubtError,
    MailboxError,
    MailboxGoneError,
    NotFoundError,
    Reason,
    RollcallError,
    SourceError,
    TenantError,
    TransientError,
)

_NO_MAILBOX = frozenset(
    prefix + name
    for prefix in ("", "error")
    for name in ("mailboxnotenabledforrestapi", "mailboxnothostedinexchangeonline", "mailboxnotsupportedforrestapi")
)
_GONE = frozenset({"errornonexistentmailbox", "errorinvaliduser", "resourcenotfound", "request_resourcenotfound"})
_DOUBT = frozenset({"erroritemnotfound", "errorfoldernotfound", "errorinvalididmalformed"})
_EXPIRED = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired", "directory_expiredpagetoken"})
_NO_CONSENT = frozenset({"authorization_requestdenied", "authorization_identitynotfound"})
_BUSY = frozenset({"errorserverbusy", "errorexceededconnectioncount", "applicationthrottled", "toomanyrequests"})
_MOVING = "errormailboxmoveinprogress"
_IRRESOLVABLE = "errorirresolvableconflict"

_TOKEN_REASONS = {
    "65001": Reason.CONSENT_MISSING,  # nobody has consented
    "500011": Reason.CONSENT_MISSING,  # the resource's service principal is not in the tenant
    "700016": Reason.CONSENT_MISSING,  # our application is not in the tenant
    "7000112": Reason.CONSENT_MISSING,  # our application is disabled there
    "7000215": Reason.CREDENTIAL_REJECTED,  # wrong client secret
    "7000222": Reason.CREDENTIAL_REJECTED,  # expired client secret
    "700027": Reason.CREDENTIAL_REJECTED,  # certificate not known
    "90002": Reason.TENANT_UNKNOWN,
    "900023": Reason.TENANT_UNKNOWN,
}
_TOKEN_BUSY = frozenset({"90012", "90024", "90033", "50196"})  # time-out, budget, outage, too many requests in a loop

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_AADSTS = re.compile(r"AADSTS(\d+)")


class Answer(Struct, gc=False):
    """One answer of Graph: to a request of its own or to one item of a batch. `retry_after` is in seconds.

    The body of a good answer to a `brief` request is the id of the item, or None.
    """

    status: int
    body: Any = None
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the request did what it should."""
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The error code as Graph spells it; "" when there is none, or one that is no plain word."""
        error = self.body.get("error") if isinstance(self.body, Mapping) else None
        code = error.get("code") if isinstance(error, Mapping) else None
        return code if isinstance(code, str) and _CODE.fullmatch(code) else ""

    @property
    def throttled(self) -> bool:
        """Whether the request was refused for its rate, and surely not carried out."""
        return self.status in (429, 509) or (400 <= self.status < 500 and self.code.lower() in _BUSY)

    @property
    def moving(self) -> bool:
        """Whether the mailbox is between two servers, which takes hours."""
        return self.code.lower() == _MOVING

    @property
    def contended(self) -> bool:
        """Whether Exchange could not reconcile the write with another one under way."""
        return self.status == 412 or (self.status == 409 and self.code.lower() == _IRRESOLVABLE)

    @property
    def unclear(self) -> bool:
        """Whether the request may have been carried out although it was not answered well."""
        return self.status == 408 or (self.status >= 500 and self.status not in (507, 509))


def answer_of(reply: Reply) -> Answer:
    """The answer to a request of its own. A body that is no JSON counts as none."""
    try:
        body = orjson.loads(reply.content)
    except ValueError:
        body = None
    return Answer(reply.status, body, retry_after(reply.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for; None without one, or when it names a date, which Graph does not."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            return float(value) if value.isdecimal() else None
    return None


def is_unsent(error: Exception) -> bool:
    """Whether a request that failed so surely never left this machine."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def error_for(failure: Answer | Exception, *, source: bool = False) -> RollcallError:
    """What a failed request means to the engine. With `source`, a refusal concerns a source and not a mailbox."""
    if isinstance(failure, Answer):
        return _answered(failure, source)
    if isinstance(failure, NotFoundError | ValueError):  # a secret that is not there, or is no certificate
        return TenantError(Reason.CREDENTIAL_REJECTED, type(failure).__name__)
    if isinstance(failure, RollcallError):
        return failure
    if isinstance(failure, httpx.HTTPError):
        return TransientError(type(failure).__name__)
    return _no_token(failure)


def _answered(answer: Answer, source: bool) -> RollcallError:
    code = answer.code
    detail = code or str(answer.status)
    match answer.status, code.lower():
        case _, known if known in _NO_MAILBOX and not source:
            return MailboxError(Reason.NO_MAILBOX, detail)
        case _, known if known in _EXPIRED:
            return DeltaExpiredError(detail)
        case 410, _:
            return DeltaExpiredError(detail)
        case 401, _:
            return TenantError(Reason.CREDENTIAL_REJECTED, detail)
        case 403, known if known in _NO_CONSENT or source:
            return TenantError(Reason.CONSENT_MISSING, detail)
        case (429 | 408, _) | (_, "errorserverbusy" | "errorexceededconnectioncount"):
            return TransientError(detail)
        case status, known if source:
            return TransientError(detail) if status >= 500 else SourceError(detail)
        case _, known if known in _GONE:
            return MailboxGoneError(detail)
        case _, known if known in _DOUBT:
            return LedgerDoubtError(detail)
        case 403, "erroraccessdenied":
            return MailboxError(Reason.OUT_OF_SCOPE, detail)
        case (507, _) | (_, "errorquotaexceeded"):
            return MailboxError(Reason.QUOTA_FULL, detail)
        case _, known if known == _MOVING:
            return MailboxError(Reason.MAILBOX_MOVING, detail)
        case _, "errorfolderexists":
            return ConflictError(detail)
        case 404, _:
            return LedgerDoubtError(detail)
        case (412, _) | (409, "errorirresolvableconflict"):
            return TransientError(detail)
        case status, _ if status >= 500:
            return TransientError(detail)
    return MailboxError(Reason.REFUSED, detail)


def _no_token(failure: Exception) -> RollcallError:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError
    from azure.identity import CredentialUnavailableError

    if isinstance(failure, CredentialUnavailableError | ServiceRequestError | ServiceResponseError):
        return TransientError(type(failure).__name__)
    if not isinstance(failure, HttpResponseError):
        raise failure
    number = _AADSTS.search(str(failure.message))
    detail = number.group(0) if number else type(failure).__name__
    if number and number.group(1) in _TOKEN_REASONS:
        return TenantError(_TOKEN_REASONS[number.group(1)], detail)
    status = failure.status_code or (failure.response.status_code if failure.response else None) or 0
    if (number and number.group(1) in _TOKEN_BUSY) or status == 429 or status >= 500:
        return TransientError(detail)
    if isinstance(failure, ClientAuthenticationError):
        return TenantError(Reason.CREDENTIAL_REJECTED, detail)
    return TransientError(detail)
