"""What went wrong, in the caller's words: problem details (RFC 9457) with stable codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from api.signin.errors import SignInError
from sync_core.errors import (
    ConflictError,
    InputError,
    MailboxError,
    MailboxGoneError,
    NotFoundError,
    ParkedError,
    RollcallError,
    StaleError,
    TenantError,
    TransientError,
)


class FieldProblem(BaseModel):
    """What is wrong with one field. `field` is its path, such as `sources.0.id`, or the header's or parameter's name."""

    field: str
    detail: str


class Problem(BaseModel):
    """An error. Programs go by `code`, which never changes; `detail` says what to do about it."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    type: str = Field(description="The code as a URN")
    title: str
    status: int
    code: str
    detail: str = Field(description="What was wrong with this request, and what to do")
    errors: list[FieldProblem] = Field(default=[], description="Every field that is wrong, the first few at least")
    correlation_id: str = Field(description="Names this request in the logs; the answer's header x-correlation-id is the same")


class ProblemError(Exception):
    """Ends a request with a problem. `code` is stable, in snake case; `detail` says what to do, with nothing personal in it."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def shown(self, correlation: str) -> Problem:
        """The body of the answer."""
        return Problem(
            type=f"urn:problem-type:rollcall:{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.code,
            detail=self.detail,
            errors=[FieldProblem(field=field, detail=detail) for field, detail in self.errors],
            correlation_id=correlation,
        )


def invalid(errors: Sequence[tuple[str, str]], *, code: str = "invalid_input") -> ProblemError:
    """400 for fields that are wrong: (field, what it must be)."""
    return ProblemError(400, code, "Correct the fields in errors and send the request again", errors=errors)


def problem_of(error: RollcallError) -> ProblemError:
    """What an expected error of the core is over HTTP."""
    match error:
        case SignInError(status=status, code=code, detail=detail, challenge=challenge):
            return ProblemError(status, code, detail, headers={"WWW-Authenticate": challenge} if challenge else {})
        case InputError(field=field, problem=problem):
            return invalid([(field, problem)])
        case NotFoundError():
            return ProblemError(404, "not_found", f"{str(error)[:1].upper()}{str(error)[1:]}: check the ids in the path")
        case StaleError():
            return ProblemError(412, "changed_meanwhile", "Somebody has changed this since you read it: read it again and repeat")
        case ConflictError():
            return ProblemError(409, "conflict", "Somebody else changed this at the same time: read it again and repeat")
        case TenantError(reason=reason):
            return ProblemError(
                409, "tenant_stopped", f"Microsoft 365 refuses us ({reason}): check the connection and consent anew if need be"
            )
        case MailboxGoneError():
            return ProblemError(404, "not_found", "There is no such mailbox: check the ids in the path")
        case MailboxError(reason=reason):
            return ProblemError(409, "mailbox_unreachable", f"Microsoft 365 does not let us into this mailbox: {reason}")
        case ParkedError(delay=delay):
            return _unavailable(max(1, round(delay)))
        case TransientError():
            return _unavailable(30)
    return ProblemError(
        502, "microsoft_365", "Microsoft 365 refused the request: try again, and check the connection if it stays"
    )


def _unavailable(seconds: int) -> ProblemError:
    detail = "Storage or Microsoft 365 does not answer at present: try again after the seconds in Retry-After"
    return ProblemError(503, "unavailable", detail, headers={"Retry-After": str(seconds)})
