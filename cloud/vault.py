"""Secrets from Key Vault."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sync_core.errors import InputError, NotFoundError, TransientError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.secrets.aio import SecretClient


class VaultSecrets:
    """Implements Secrets: each is read when first asked for and kept for `max_age` seconds, so that a rotated one arrives.

    `options` go to the SDK's SecretClient.
    """

    def __init__(
        self,
        url: str,
        credential: AsyncTokenCredential,
        *,
        max_age: float = 600,
        monotonic: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self._url = url
        self._credential = credential
        self._max_age = max_age
        self._monotonic = monotonic
        self._options = options
        self._client: SecretClient | None = None
        self._cached: dict[str, tuple[float, bytes]] = {}

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client:
            await client.close()

    async def get(self, name: str) -> bytes:
        """See Secrets. Raises also TransientError, and InputError when the vault does not let this app in."""
        now = self._monotonic()
        until, value = self._cached.get(name, (now, b""))
        if until <= now:
            value = await self._read(name)
            self._cached[name] = (now + self._max_age, value)
        return value

    async def _read(self, name: str) -> bytes:
        from azure.core.exceptions import (
            ClientAuthenticationError,
            HttpResponseError,
            ResourceNotFoundError,
            ServiceRequestError,
            ServiceResponseError,
        )
        from azure.keyvault.secrets.aio import SecretClient

        if self._client is None:
            self._client = SecretClient(self._url, self._credential, **self._options)
        try:
            secret = await self._client.get_secret(name)
        except ResourceNotFoundError:
            raise NotFoundError(f"the vault holds no secret {name}") from None
        except (ServiceRequestError, ServiceResponseError) as error:
            raise TransientError(f"the vault could not be reached: {type(error).__name__}") from None
        except HttpResponseError as error:
            if isinstance(error, ClientAuthenticationError) or error.status_code in (401, 403):
                problem = "the vault refuses this app: give its identity the role Key Vault Secrets User, and let its network in"
                raise InputError("ROLLCALL_SECRETS", problem) from None
            if error.status_code in (None, 408, 429) or (error.status_code or 0) >= 500:
                raise TransientError(f"the vault answered {error.status_code}") from None
            raise
        if not secret.value:
            raise NotFoundError(f"the secret {name} is empty")
        return secret.value.encode()
