"""Webhooks go out into the public internet over TLS, and to nothing else, whatever their names say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.resolver import ThreadedResolver
from cryptography import x509

from cloud import webhook
from cloud.webhook import PublicWebhook, is_public
from tenancy.services import UnreachableError
from tests.cloud.tls import certificate_for


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.10", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "168.63.129.16", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:168.63.129.16", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, of 127.0.0.1
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["20.50.2.1", "8.8.8.8", "2a01:111::1", "::ffff:20.50.2.1", "64:ff9b::1432:201"])
def test_what_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@dataclass
class Receiver:
    port: int = 0
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    received: list[tuple[str, bytes, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.received.append((request.path_qs, await request.read(), request.headers.get("Rollcall-Signature", "")))
        await asyncio.sleep(self.wait)
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_for(x509.DNSName("localhost"), tmp_path_factory.mktemp("webhook") / "webhook.pem")


@pytest.fixture
async def receiver(certificate: Path) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


def trusting(certificate: Path) -> PublicWebhook:
    """One that may call this machine."""
    return PublicWebhook(permitted=lambda _: True, tls=ssl.create_default_context(cafile=certificate))


async def test_a_body_is_posted_with_its_headers(receiver: Receiver, certificate: Path) -> None:
    url = f"https://localhost:{receiver.port}/hook?token=1"
    assert await trusting(certificate).post(url, b'{"id":"one"}', {"Rollcall-Signature": "t=1"}) == 204
    assert receiver.received == [("/hook?token=1", b'{"id":"one"}', "t=1")]


async def test_a_redirect_is_not_followed(receiver: Receiver, certificate: Path) -> None:
    receiver.status, receiver.headers = 307, {"Location": f"https://localhost:{receiver.port}/elsewhere"}
    assert await trusting(certificate).post(f"https://localhost:{receiver.port}/", b"", {}) == 307
    assert len(receiver.received) == 1


async def test_this_machine_is_not_called_by_name_or_by_number(receiver: Receiver, certificate: Path) -> None:
    careful = PublicWebhook(tls=ssl.create_default_context(cafile=certificate))
    for host in ("localhost", "127.0.0.1", "[::1]", "2130706433", "127.1", "0x7f000001"):
        with pytest.raises(UnreachableError) as caught:
            await careful.post(f"https://{host}:{receiver.port}/", b"", {})
        assert caught.value.why == "private_address", host
    assert receiver.received == []


async def test_one_private_address_among_those_of_a_name_is_enough(
    receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ThreadedResolver.resolve

    async def resolve(self: ThreadedResolver, host: str, port: int = 0, family: int = 0) -> object:
        found = await plain(self, "localhost", port)
        return [{**found[0], "host": "20.50.2.1"}, *found]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    with pytest.raises(UnreachableError, match="private_address"):
        await PublicWebhook().post(f"https://rebind.example:{receiver.port}/", b"", {})


async def test_a_name_is_looked_up_for_each_call(receiver: Receiver, certificate: Path) -> None:
    """A name that has passed once may lead inwards the next time."""
    answers = [True, False]
    changing = PublicWebhook(permitted=lambda _: answers[0], tls=ssl.create_default_context(cafile=certificate))
    url = f"https://localhost:{receiver.port}/"
    assert await changing.post(url, b"", {}) == 204
    answers.pop(0)
    with pytest.raises(UnreachableError, match="private_address"):
        await changing.post(url, b"", {})


async def test_plain_http_is_not_spoken(receiver: Receiver) -> None:
    with pytest.raises(UnreachableError, match="not_https"):
        await PublicWebhook(permitted=lambda _: True).post(f"http://localhost:{receiver.port}/", b"", {})


async def test_a_certificate_must_be_good(receiver: Receiver) -> None:
    with pytest.raises(UnreachableError, match="certificate"):
        await PublicWebhook(permitted=lambda _: True).post(f"https://localhost:{receiver.port}/", b"", {})
    assert receiver.received == []


async def test_who_does_not_answer_is_not_waited_for(
    receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_PATIENCE", 0.05)
    receiver.wait = 1
    with pytest.raises(UnreachableError, match="timeout"):
        await trusting(certificate).post(f"https://localhost:{receiver.port}/", b"", {})


async def test_nobody_there(certificate: Path) -> None:
    with pytest.raises(UnreachableError, match="no_connection"):
        await trusting(certificate).post("https://localhost:9/", b"", {})
    with pytest.raises(UnreachableError, match="name_not_found"):
        await trusting(certificate).post("https://no-such-name.invalid/", b"", {})
