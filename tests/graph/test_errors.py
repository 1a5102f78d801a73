"""Every documented error code means what the design says."""

from __future__ import annotations

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError

from cloud.graph.errors import Answer, answer_of, error_for
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


def answered(status: int, code: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": "Ann Example <ann@contoso.example>"}})


MAILBOX_NOT_SERVED = [
    "MailboxNotEnabledForRESTAPI",
    "ErrorMailboxNotEnabledForRESTAPI",
    "MailboxNotHostedInExchangeOnline",
    "ErrorMailboxNotHostedInExchangeOnline",
    "MailboxNotSupportedForRESTAPI",
    "ErrorMailboxNotSupportedForRESTAPI",
]

DOCUMENTED: list[tuple[int, str, type[RollcallError], Reason | None]] = [
    *((status, code, MailboxError, Reason.NO_MAILBOX) for status in (400, 403, 404, 409) for code in MAILBOX_NOT_SERVED),
    (404, "ErrorNonExistentMailbox", MailboxGoneError, Reason.MAILBOX_GONE),
    (404, "ErrorInvalidUser", MailboxGoneError, Reason.MAILBOX_GONE),
    (404, "ResourceNotFound", MailboxGoneError, Reason.MAILBOX_GONE),
    (404, "Request_ResourceNotFound", MailboxGoneError, Reason.MAILBOX_GONE),
    (404, "ErrorItemNotFound", LedgerDoubtError, None),
    (404, "ErrorFolderNotFound", LedgerDoubtError, None),
    (400, "ErrorInvalidIdMalformed", LedgerDoubtError, None),
    (403, "ErrorAccessDenied", MailboxError, Reason.OUT_OF_SCOPE),
    (403, "Authorization_RequestDenied", TenantError, Reason.CONSENT_MISSING),
    (401, "InvalidAuthenticationToken", TenantError, Reason.CREDENTIAL_REJECTED),
    (507, "ErrorQuotaExceeded", MailboxError, Reason.QUOTA_FULL),
    (403, "ErrorQuotaExceeded", MailboxError, Reason.QUOTA_FULL),
    (507, "", MailboxError, Reason.QUOTA_FULL),
    (503, "ErrorMailboxMoveInProgress", MailboxError, Reason.MAILBOX_MOVING),
    (503, "ErrorServerBusy", TransientError, None),
    (429, "ErrorExceededConnectionCount", TransientError, None),
    (429, "ApplicationThrottled", TransientError, None),
    (509, "", TransientError, None),
    (503, "ServiceUnavailable", TransientError, None),
    (504, "", TransientError, None),
    (500, "InternalServerError", TransientError, None),
    (502, "", TransientError, None),
    (409, "ErrorIrresolvableConflict", TransientError, None),
    (412, "ErrorIrresolvableConflict", TransientError, None),
    (409, "ErrorFolderExists", ConflictError, None),
    (410, "", DeltaExpiredError, None),
    (410, "SyncStateNotFound", DeltaExpiredError, None),
    (400, "SYNCSTATENOTFOUND", DeltaExpiredError, None),
    (404, "resyncRequired", DeltaExpiredError, None),
    (404, "", LedgerDoubtError, None),
    (400, "ErrorInvalidArgument", MailboxError, Reason.REFUSED),
    (403, "Forbidden", MailboxError, Reason.REFUSED),
    (424, "FailedDependency", MailboxError, Reason.REFUSED),
]


@pytest.mark.parametrize(("status", "code", "kind", "reason"), DOCUMENTED)
@pytest.mark.parametrize("spelling", [str, str.lower, str.upper])
def test_a_mailbox_error_by_its_code(
    status: int, code: str, kind: type[RollcallError], reason: Reason | None, spelling: type[str]
) -> None:
    error = error_for(answered(status, spelling(code)))
    assert type(error) is kind
    if reason is not None:
        assert isinstance(error, MailboxError | TenantError)
        assert error.reason is reason
    assert str(error).endswith(spelling(code) or str(status))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "InvalidAuthenticationToken", TenantError),
        (403, "Authorization_RequestDenied", TenantError),
        (403, "Forbidden", TenantError),
        (410, "", DeltaExpiredError),
        (400, "syncStateNotFound", DeltaExpiredError),
        (410, "ResyncRequired", DeltaExpiredError),
        (400, "Directory_ExpiredPageToken", DeltaExpiredError),
        (400, "Request_BadRequest", SourceError),
        (404, "Request_ResourceNotFound", SourceError),
        (404, "MailboxNotEnabledForRESTAPI", SourceError),
        (429, "TooManyRequests", TransientError),
        (503, "ServiceUnavailable", TransientError),
    ],
)
def test_a_source_error_by_its_code(status: int, code: str, kind: type[RollcallError]) -> None:
    assert type(error_for(answered(status, code), source=True)) is kind


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (65001, Reason.CONSENT_MISSING),
        (500011, Reason.CONSENT_MISSING),
        (700016, Reason.CONSENT_MISSING),
        (7000112, Reason.CONSENT_MISSING),
        (7000215, Reason.CREDENTIAL_REJECTED),
        (7000222, Reason.CREDENTIAL_REJECTED),
        (700027, Reason.CREDENTIAL_REJECTED),
        (90002, Reason.TENANT_UNKNOWN),
        (900023, Reason.TENANT_UNKNOWN),
        (123456789, Reason.CREDENTIAL_REJECTED),
    ],
)
def test_a_token_error_by_its_number(number: int, reason: Reason) -> None:
    error = error_for(ClientAuthenticationError(f"(invalid_client) AADSTS{number}: Something about Ann. Trace ID: 1"))
    assert isinstance(error, TenantError)
    assert (error.reason, error.detail) == (reason, f"AADSTS{number}")


@pytest.mark.parametrize(
    "failure",
    [
        ServiceRequestError("no route"),
        ServiceResponseError("broken"),
        CredentialUnavailableError("no managed identity endpoint"),
        ClientAuthenticationError("AADSTS90033: a transient error"),
        HttpResponseError("what the endpoint said"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.DecodingError("gzip"),
    ],
)
def test_what_may_pass_is_transient(failure: Exception) -> None:
    assert type(error_for(failure)) is TransientError


@pytest.mark.parametrize("failure", [NotFoundError("the secret"), ValueError("not a certificate")])
def test_a_credential_that_cannot_be_had_stops_the_tenant(failure: Exception) -> None:
    error = error_for(failure)
    assert isinstance(error, TenantError)
    assert error.reason is Reason.CREDENTIAL_REJECTED


def test_what_is_known_stays_and_a_bug_is_a_bug() -> None:
    known = TenantError(Reason.CONSENT_MISSING)
    assert error_for(known) is known
    with pytest.raises(KeyError):
        error_for(KeyError("x"))


@pytest.mark.parametrize("code", ["ann@contoso.example", "x" * 200, "two words", 7, None, {"a": 1}])
def test_a_code_that_is_no_code_is_not_repeated(code: object) -> None:
    error = error_for(Answer(400, {"error": {"code": code}}))
    assert str(error) == "refused: 400"


@pytest.mark.parametrize("body", [None, "text", [], {"error": "text"}, {"error": {}}, 7])
def test_an_error_without_a_code_is_told_by_its_status(body: object) -> None:
    assert Answer(503, body).code == ""


@pytest.mark.parametrize(("value", "seconds"), [("30", 30.0), ("0", 0.0), ("Fri, 31 Dec 2027 23:59:59 GMT", None), ("-1", None)])
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert answer_of(Reply(429, httpx.Headers({"retry-AFTER": value}), b"<html>")) == Answer(429, None, seconds)
