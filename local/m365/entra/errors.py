"""What Entra answers when it refuses.

https://learn.microsoft.com/entra/identity-platform/reference-error-codes,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from local.m365.wire import Reply

# code -> (OAuth error, what is wrong)
ERRORS = {
    28003: ("invalid_request", "Provided value for the input parameter scope cannot be empty."),
    50011: ("invalid_request", "The redirect URI specified in the request does not match those configured for the application."),
    50034: ("invalid_grant", "The user account does not exist in the directory."),
    50057: ("invalid_grant", "The user account is disabled."),
    50058: ("login_required", "A silent sign-in request was sent but no user is signed in."),
    54005: ("invalid_grant", "OAuth2 Authorization code was already redeemed, please retry with a new valid code."),
    65001: ("invalid_grant", "The user or administrator has not consented to use the application."),
    65004: ("access_denied", "User declined to consent to access the app."),
    65005: ("invalid_client", "The application requested a permission that does not exist on the resource."),
    70003: ("unsupported_grant_type", "The app requested an unsupported grant type."),
    70008: ("invalid_grant", "The provided authorization code or refresh token has expired due to inactivity."),
    70011: ("invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    90002: ("invalid_request", "Tenant not found. Check to make sure you have the correct tenant ID."),
    90009: ("invalid_request", "The request must name the tenant: no tenant can be found from it."),
    90014: ("invalid_request", "A required field is missing from the request."),
    90094: ("consent_required", "The grant requires admin permission."),
    500011: ("invalid_resource", "The resource principal was not found in the tenant."),
    500112: ("invalid_client", "The reply address does not match the reply address provided when requesting Authorization code."),
    501491: ("invalid_request", "Invalid size of Code_Challenge parameter."),
    501481: ("invalid_grant", "The Code_Verifier does not match the code_challenge supplied in the authorization request."),
    700016: ("unauthorized_client", "Application was not found in the directory."),
    700025: ("invalid_client", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
    700027: ("invalid_client", "The client assertion contains an invalid signature."),
    700051: ("unsupported_response_type", "response_type is not enabled for the application."),
    700054: ("unsupported_response_type", "response_type 'id_token' is not enabled for the application."),
    700084: ("invalid_grant", "The refresh token was issued to a single page app (SPA), and has a fixed, limited lifetime."),
    900144: ("invalid_request", "The request body must contain a parameter that is missing."),
    1002012: (
        "invalid_scope",
        "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed.",
    ),
    7000112: ("unauthorized_client", "The application is disabled."),
    7000215: ("invalid_client", "Invalid client secret provided."),
    7000216: (
        "invalid_client",
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    9002313: ("invalid_request", "Invalid request. Request is malformed or invalid."),
    9002325: ("invalid_request", "Proof Key for Code Exchange is required for cross-origin authorization code redemption."),
    9002326: (
        "invalid_request",
        "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type.",
    ),
    9002327: (
        "invalid_request",
        "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.",
    ),
}
_NO_TRACE = "00000000-0000-0000-0000-000000000000"


class EntraError(Exception):
    """A request that Entra refuses, with one of ERRORS."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.error, self.text = ERRORS[code]
        super().__init__(self.description)

    @property
    def description(self) -> str:
        """What stands in `error_description`."""
        return f"AADSTS{self.code}: {self.text}"

    @property
    def query(self) -> dict[str, str]:
        """The error as a browser carries it back to the app."""
        return {"error": self.error, "error_description": self.description}

    def reply(self, now: datetime) -> Reply:
        """The error as the token endpoint answers it."""
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.code],
            "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
            "trace_id": _NO_TRACE,
            "correlation_id": _NO_TRACE,
        }
        return Reply(401 if self.error == "invalid_client" else 400, body)
