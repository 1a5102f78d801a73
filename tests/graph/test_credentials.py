"""Signing in: one token per tenant, renewed in time, replaced when refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from cloud.graph.credentials import Certificate, ClientSecret, ManagedIdentity
from local.clock import VirtualClock
from sync_core.errors import InputError, Reason, RollcallError, TenantError, TransientError
from sync_core.model import Delete
from tests.graph.canned import TENANT, Canned, FewSecrets, open_graph
from tests.graph.conftest import World

OTHER = "22222222-2222-2222-2222-222222222222"


def form(request: httpx.Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.content.decode()).items()}


def authorizations(canned: Canned) -> list[str]:
    return [call.headers["Authorization"] for call in canned.calls]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def test_one_token_serves_a_tenant_until_shortly_before_its_end(clock: VirtualClock) -> None:
    canned = Canned()
    graph = open_graph(canned, clock)
    await asyncio.gather(*(graph.mailboxes(TENANT).item(f"mailbox{n}", "i") for n in range(5)))
    clock.advance(timedelta(seconds=3200))
    await graph.mailboxes(TENANT).item("mailbox", "i")
    assert len(canned.tokens) == 1
    clock.advance(timedelta(seconds=150))
    await graph.mailboxes(TENANT).item("mailbox", "i")
    await graph.mailboxes(OTHER).item("mailbox", "i")
    assert [request.url.path.split("/")[1] for request in canned.tokens] == [TENANT, TENANT, OTHER]
    assert authorizations(canned) == ["Bearer token 1"] * 6 + ["Bearer token 2", "Bearer token 3"]


async def test_token_requests_are_not_counted(clock: VirtualClock) -> None:
    mailboxes = open_graph(Canned(), clock).mailboxes(TENANT)
    await mailboxes.item("mailbox", "i")
    assert (mailboxes.spent.requests, mailboxes.spent.http_calls) == (1, 1)


async def test_a_refused_token_is_replaced_once_for_all(clock: VirtualClock) -> None:
    canned = Canned(
        call=lambda request: (
            httpx.Response(401, json={"error": {"code": "InvalidAuthenticationToken"}})
            if request.headers["Authorization"] == "Bearer token 1"
            else None
        )
    )
    graph = open_graph(canned, clock)
    await asyncio.gather(*(graph.mailboxes(TENANT).item(f"mailbox{n}", "i") for n in range(5)))
    assert len(canned.tokens) == 2
    assert authorizations(canned).count("Bearer token 2") == 5


async def test_a_tenant_that_refuses_new_tokens_too_is_stopped(clock: VirtualClock) -> None:
    canned = Canned(call=lambda _: httpx.Response(401, json={"error": {"code": "InvalidAuthenticationToken"}}))
    graph = open_graph(canned, clock)
    with pytest.raises(TenantError) as caught:
        await graph.mailboxes(TENANT).folders("mailbox")
    assert caught.value.reason is Reason.CREDENTIAL_REJECTED
    with pytest.raises(TenantError):
        _ = [page async for page in graph.directory(TENANT).users(None)]


async def test_consent_revoked_while_a_token_is_still_good(world: World) -> None:
    mailboxes = world.mailboxes()
    await mailboxes.folders(world.users[0])
    world.tenant.app.consent = "revoked"
    world.clock.advance(timedelta(seconds=3600))
    with pytest.raises(TenantError) as caught:
        await mailboxes.folders(world.users[0])
    assert caught.value.reason is Reason.CONSENT_MISSING
    assert caught.value.detail == "AADSTS65001"


async def test_a_wrong_secret_and_an_unknown_tenant(world: World) -> None:
    world.tenant.app.secret = "another"
    with pytest.raises(TenantError) as caught:
        await world.mailboxes().folders(world.users[0])
    assert (caught.value.reason, caught.value.detail) == (Reason.CREDENTIAL_REJECTED, "AADSTS7000215")
    with pytest.raises(TenantError) as caught:
        await world.graph.mailboxes(OTHER).folders(world.users[0])
    assert caught.value.reason is Reason.TENANT_UNKNOWN


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(503, json={"error": "temporarily_unavailable"}), TransientError),
        (httpx.Response(429, json={"error": "slow_down"}), TransientError),
        (httpx.Response(503, content=b"<html>"), TransientError),
        (httpx.Response(400, json={"error": "invalid_client", "error_description": "AADSTS7000222: old."}), TenantError),
    ],
)
async def test_a_token_endpoint_in_trouble(clock: VirtualClock, answer: httpx.Response, kind: type[RollcallError]) -> None:
    canned = Canned(
        token=lambda _: httpx.Response(answer.status_code, content=answer.content, headers={"Content-Type": "application/json"})
    )
    with pytest.raises(kind):
        await open_graph(canned, clock).mailboxes(TENANT).folders("mailbox")
    assert canned.calls == []


async def test_a_token_endpoint_out_of_reach_is_transient(clock: VirtualClock) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    with pytest.raises(TransientError):
        await open_graph(Canned(token=refuse), clock).mailboxes(TENANT).folders("mailbox")


async def test_a_secret_is_sent_for_graph_and_a_rotated_one_is_picked_up(clock: VirtualClock) -> None:
    canned = Canned()
    secrets = FewSecrets(mine=b"old")
    graph = open_graph(canned, clock, proof=ClientSecret("mine"), secrets=secrets)
    await graph.mailboxes(TENANT).item("mailbox", "i")
    secrets.known["mine"] = b"new"
    clock.advance(timedelta(seconds=4000))
    await graph.mailboxes(TENANT).item("mailbox", "i")
    first, second = map(form, canned.tokens)
    assert (first["client_id"], first["client_secret"], second["client_secret"]) == ("the-app", "old", "new")
    assert first["scope"] == "https://graph.microsoft.com/.default"


async def test_a_missing_secret_stops_the_tenant(clock: VirtualClock) -> None:
    with pytest.raises(TenantError) as caught:
        await open_graph(Canned(), clock, proof=ClientSecret("nowhere")).mailboxes(TENANT).folders("mailbox")
    assert caught.value.reason is Reason.CREDENTIAL_REJECTED


async def test_a_certificate_signs_an_assertion(clock: VirtualClock) -> None:
    canned = Canned()
    graph = open_graph(canned, clock, proof=Certificate("certificate"), secrets=FewSecrets(certificate=_certificate()))
    await graph.mailboxes(TENANT).item("mailbox", "i")
    sent = form(canned.tokens[0])
    assert sent["client_assertion"].count(".") == 2
    assert "client_secret" not in sent


async def test_a_managed_identity_vouches_for_the_application(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:41741/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")

    class WithIdentity(Canned):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path != "/msi/token":
                return await super().handle_async_request(request)
            asked.append(request)
            expires = int((datetime.now(UTC) + timedelta(hours=8)).timestamp())
            return httpx.Response(
                200, json={"access_token": "vouched", "expires_on": str(expires), "resource": "api://AzureADTokenExchange"}
            )

    asked: list[httpx.Request] = []
    canned = WithIdentity()
    await open_graph(canned, clock, proof=ManagedIdentity("the-identity")).mailboxes(TENANT).item("mailbox", "i")
    assert asked[0].url.params["client_id"] == "the-identity"
    assert asked[0].url.params["resource"] == "api://AzureADTokenExchange"
    assert form(canned.tokens[0])["client_assertion"] == "vouched"


async def test_another_cloud(clock: VirtualClock) -> None:
    canned = Canned()
    graph = open_graph(
        canned,
        clock,
        base_url="https://microsoftgraph.chinacloudapi.cn/v1.0",
        authority="https://login.partner.microsoftonline.cn/",
    )
    await graph.mailboxes(TENANT).write("mailbox", "f", [Delete("k", "i")])
    assert canned.batches[0][0]["method"] == "DELETE"  # no permanentDelete there
    assert str(canned.tokens[0].url) == f"https://login.partner.microsoftonline.cn/{TENANT}/oauth2/v2.0/token"
    assert form(canned.tokens[0])["scope"] == "https://microsoftgraph.chinacloudapi.cn/.default"
    assert str(canned.calls[0].url) == "https://microsoftgraph.chinacloudapi.cn/v1.0/$batch"


@pytest.mark.parametrize(
    "url", ["http://graph.microsoft.com/v1.0", "http://127.0.0.1.example/v1.0", "ftp://localhost/v1.0", "graph"]
)
def test_plain_http_is_for_this_machine_only(clock: VirtualClock, url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_graph(Canned(), clock, base_url=url)
    assert caught.value.field == "graph_url"
    with pytest.raises(InputError):
        open_graph(Canned(), clock, authority=url)


def test_a_client_stays_with_its_event_loop(clock: VirtualClock) -> None:
    graph = open_graph(Canned(), clock)
    asyncio.run(_read(graph.mailboxes(TENANT).item("mailbox", "i")))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(_read(graph.mailboxes(TENANT).item("mailbox", "i")))


async def _read(awaitable: object) -> None:
    await awaitable  # type: ignore[misc]  # any coroutine


def _certificate() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(serialization.Encoding.PEM)
