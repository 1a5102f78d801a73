"""Secrets from Key Vault."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sync_core.errors import InputError, NotFoundError, TransientError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.keyvault.secrets import SecretProperties
    from azure.keyvault.secrets.aio import SecretClient

T = TypeVar("T")

_GOOD_AT_ONCE = 2  # versions of a secret while it is rotated


class VaultSecrets:
    """Implements VersionedSecrets: each is read when first asked for and kept for `max_age` seconds.

    So a rotated one arrives without a restart.

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
        self._listed: dict[str, tuple[float, list[bytes]]] = {}

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

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:
        """See VersionedSecrets: versions that are enabled and have not expired. Raises as `get` does.

        Listing takes the data action `secrets/readMetadata`, which the role Key Vault Secrets User has
        (https://learn.microsoft.com/azure/key-vault/general/rbac-guide).
        """
        now = self._monotonic()
        until, values = self._listed.get(name, (now, []))
        if fresh or until <= now:
            good = [one for one in await self._answered(lambda client: _list(client, name), name) if _is_good(one)]
            good.sort(key=lambda one: one.created_on.timestamp() if one.created_on else 0.0, reverse=True)
            values = [await self._read(name, one.version or "") for one in good[:_GOOD_AT_ONCE]]
            if not values:
                raise NotFoundError(f"the vault holds no secret {name} that is enabled and has not expired")
            self._listed[name] = (now + self._max_age, values)
        return values

    async def _read(self, name: str, version: str | None = None) -> bytes:
        secret = await self._answered(lambda client: client.get_secret(name, version), name)
        if not secret.value:
            raise NotFoundError(f"the secret {name} is empty")
        return secret.value.encode()

    async def _answered(self, ask: Callable[[SecretClient], Awaitable[T]], name: str) -> T:
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
            return await ask(self._client)
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


async def _list(client: SecretClient, name: str) -> list[SecretProperties]:
    return [one async for one in client.list_properties_of_secret_versions(name)]


def _is_good(version: SecretProperties) -> bool:
    now = time.time()
    begun = version.not_before is None or version.not_before.timestamp() <= now
    return version.enabled is not False and begun and (version.expires_on is None or version.expires_on.timestamp() > now)
