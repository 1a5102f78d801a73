"""The check of a token on every call of Graph."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from local.m365.call import Caller
from local.m365.wire import GRAPH, GraphError

if TYPE_CHECKING:
    from jwt.types import Options

    from local.m365.entra.keys import SigningKeys


class TokenChecker:
    """Checks the bearer token of each call; a token checked before is only looked up."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._seen: dict[str, tuple[Caller, int, int]] = {}

    def check(self, header: str, now: datetime) -> Caller:
        """Who calls. Raises GraphError 401 `InvalidAuthenticationToken`."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorised("Access token is empty.")
        known = self._seen.get(token)
        if known is None:
            if len(self._seen) > 10_000:
                self._seen.clear()
            known = self._seen[token] = self._verify(token)
        caller, not_before, expires = known
        at = now.timestamp()
        if at >= expires:
            raise _unauthorised("Lifetime validation failed, the token is expired.")
        if at + 300 < not_before:
            raise _unauthorised("Lifetime validation failed, the token is not yet valid.")
        return caller

    def _verify(self, token: str) -> tuple[Caller, int, int]:
        import jwt

        unchecked: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            key = self._keys.public(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise jwt.InvalidKeyError
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=GRAPH, options=unchecked)
        except jwt.InvalidAudienceError:
            raise _unauthorised("Access token validation failure. Invalid audience.") from None
        except jwt.PyJWTError:
            raise _unauthorised("IDX10511: Signature validation failed or the token is not well formed.") from None
        return Caller(claims["tid"], claims["appid"], frozenset(claims["roles"])), claims["nbf"], claims["exp"]


def _unauthorised(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": 'Bearer realm=""'})
