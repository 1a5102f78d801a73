"""What the app may do in a tenant: the permissions in its token, and single looks that keep nothing."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import httpx
import orjson

from cloud.graph.client import Client
from cloud.graph.errors import answer_of, error_for
from sync_core.errors import TransientError
from sync_core.model import Spent
from tenancy.services import Microsoft, Seen


class GraphAccess(Microsoft):
    """Microsoft 365 as the app alone sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def roles(self, tenant: str) -> frozenset[str]:
        """The application permissions in a token that is issued now. Raises TenantError, TransientError.

        The token comes from Microsoft over TLS and is read, not relied on: its signature is Graph's to check.
        """
        granted = _claims(await self._client.new_token(tenant)).get("roles")
        return frozenset(role for role in granted if isinstance(role, str)) if isinstance(granted, list) else frozenset()

    async def look(self, tenant: str, path: str) -> Seen:
        """GET a path of Graph once. Raises TenantError (no token), TransientError."""
        try:
            answer = answer_of(await self._client.call(tenant, "GET", f"{self._client.base_url}{path}", spent=Spent()))
        except httpx.HTTPError as error:
            raise error_for(error) from error
        if answer.throttled or answer.unclear:
            raise TransientError(answer.code or str(answer.status))
        if answer.status == 401:
            raise error_for(answer)
        body = answer.body if answer.ok and isinstance(answer.body, dict) else {}
        return Seen(answer.status, answer.code, body)


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return {}  # Microsoft may one day issue what only Graph can read: then nothing is known of the roles
    return claims if isinstance(claims, dict) else {}
