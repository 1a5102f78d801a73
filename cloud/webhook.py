"""POST to addresses that strangers name, and to nothing inside our own network.

What a name stands for is looked up for each connection and checked before anything is sent, so that a name cannot pass a check
first and lead inwards afterwards
(https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tenancy.services import UnreachableError, Webhook

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver

Address = IPv4Address | IPv6Address

_PATIENCE = 10.0  # seconds, for all of it
# Public by its number, but answered by the platform inside of Azure:
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_AZURE = ip_address("168.63.129.16")
_TRANSLATED = IPv6Network("64:ff9b::/96")  # stands for any IPv4 address (RFC 6052)


def is_public(address: Address) -> bool:
    """Whether an address is in the public internet, whatever way it is written."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if address in _TRANSLATED:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast and address != _AZURE


class PublicWebhook(Webhook):
    """Webhooks in the public internet. `permitted` and `tls` are for tests, which have nothing there."""

    def __init__(self, *, permitted: Callable[[Address], bool] = is_public, tls: ssl.SSLContext | None = None) -> None:
        self._permitted = permitted
        self._tls = tls

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST; returns the status. Redirects are not followed and the answer is not read. Raises UnreachableError."""
        import aiohttp

        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise UnreachableError("not_https")
        if _is_number(parts.hostname) and not self._permits(parts.hostname):
            raise UnreachableError("private_address")
        try:
            async with self._session() as session, session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status
        except aiohttp.ClientConnectorDNSError as error:
            private = isinstance(error.os_error, _PrivateAddressError)
            raise UnreachableError("private_address" if private else "name_not_found") from None
        except (aiohttp.ClientSSLError, ssl.SSLError):
            raise UnreachableError("certificate") from None
        except TimeoutError:
            raise UnreachableError("timeout") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise UnreachableError("no_connection") from None

    def _permits(self, number: str) -> bool:
        try:
            return self._permitted(ip_address(number))
        except ValueError:
            return False  # such as 127.1, which some take for an address

    def _session(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        connector = TCPConnector(
            resolver=_resolver(self._permitted),
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls or ssl.create_default_context(),
        )
        timeout = ClientTimeout(total=_PATIENCE)
        return ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar(), auto_decompress=False)


class _PrivateAddressError(OSError):
    """A name leads into a network that is not public."""


def _is_number(host: str) -> bool:
    """Whether a host is no name: aiohttp looks such a one up nowhere."""
    return ":" in host or host.replace(".", "").isdigit()


def _resolver(permitted: Callable[[Address], bool]) -> AbstractResolver:
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class Resolver(AbstractResolver):
        """Finds the addresses of a name; one that is not permitted makes all of them so."""

        def __init__(self) -> None:
            self._inner = ThreadedResolver()

        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
            found = await self._inner.resolve(host, port, family)
            if not all(permitted(ip_address(each["host"].partition("%")[0])) for each in found):
                raise _PrivateAddressError
            return found

        async def close(self) -> None:
            await self._inner.close()

    return Resolver()
