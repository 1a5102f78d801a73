"""Why a caller is turned away. Nothing of the token stands in any of these."""

from __future__ import annotations

from sync_core.errors import RollcallError


class SignInError(RollcallError):
    """The caller may not do this. `code` is stable; `detail` says what to do."""

    status = 403

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail

    @property
    def challenge(self) -> str:
        """The `WWW-Authenticate` header that goes with the answer, "" for none (RFC 6750, section 3)."""
        return ""


class AuthenticationError(SignInError):
    """401: there is no token, or none that we trust."""

    status = 401

    @property
    def challenge(self) -> str:
        """See SignInError: without a token no error is named."""
        return "Bearer" if self.code == NOT_SIGNED_IN else 'Bearer error="invalid_token"'


class ForbiddenError(SignInError):
    """403: we know who asks, and they may not."""

    @property
    def challenge(self) -> str:
        """See SignInError: only more rights in the token would help, not another sign-in."""
        return 'Bearer error="insufficient_scope"' if self.code in _TOKEN_LACKS else ""


NOT_SIGNED_IN = "not_signed_in"
INVALID_TOKEN = "invalid_token"  # noqa: S105 - a code, not a secret
MISSING_SCOPE = "missing_scope"
MISSING_ROLE = "missing_role"
PERSON_REQUIRED = "person_required"
GUEST_ACCOUNT = "guest_account"
TENANT_NOT_CONNECTED = "tenant_not_connected"
TENANT_NOT_GRANTED = "tenant_not_granted"
_TOKEN_LACKS = (MISSING_SCOPE, MISSING_ROLE)


def not_signed_in() -> AuthenticationError:
    """No bearer token came."""
    return AuthenticationError(NOT_SIGNED_IN, "Send an access token in the header Authorization: Bearer")


def invalid_token() -> AuthenticationError:
    """The token is not one that Microsoft Entra made for us and that counts now."""
    return AuthenticationError(INVALID_TOKEN, "Sign in again: the access token is expired, or not made for this service")
