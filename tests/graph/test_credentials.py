"""Signing in: one token per tenant, renewed in time, replaced when refused."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from cloud.graph import credentials
from cloud.graph.credentials import Certificate, ClientSecret, ManagedIdentity
from local.clock import VirtualClock
from sync_core.errors import InputError, Reason, RollcallError, TenantError, TransientError
from sync_core.model import Delete
from tests.graph.canned import TENANT, Canned, FewSecrets, open_graph
from tests.graph.conftest import World

OTHER = "22222222-2222-2222-2222-222222222222"
THIRD = "33333333-3333-3333-3333-333333333333"


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


async def test_tokens_of_some_tenants_are_kept_and_those_last_used_go_last(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_KEPT", 2)
    canned = Canned()
    graph = open_graph(canned, clock)
    for tenant in (TENANT, OTHER, TENANT, THIRD, TENANT, OTHER):
        await graph.mailboxes(tenant).item("mailbox", "i")
    assert [request.url.path.split("/")[1] for request in canned.tokens] == [TENANT, OTHER, THIRD, OTHER]


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


async def test_a_certificate_may_be_kept_as_key_vault_keeps_it(clock: VirtualClock) -> None:
    """PKCS12 in base64, without a password."""
    canned = Canned()
    kept = base64.b64encode(_pkcs12(_certificate()))
    await open_graph(canned, clock, proof=Certificate("c"), secrets=FewSecrets(c=kept)).mailboxes(TENANT).item("mailbox", "i")
    assert form(canned.tokens[0])["client_assertion"].count(".") == 2


def refusing(*values: str) -> Callable[[httpx.Request], httpx.Response | None]:
    """A token endpoint that does not know these secrets."""

    def token(request: httpx.Request) -> httpx.Response | None:
        if form(request)["client_secret"] not in values:
            return None
        return httpx.Response(401, json={"error": "invalid_client", "error_description": "AADSTS7000215: Invalid."})

    return token


async def test_while_a_secret_is_rotated_the_newest_is_tried_first_and_the_older_one_when_it_is_refused(
    clock: VirtualClock,
) -> None:
    canned = Canned(token=refusing("new"))
    secrets = FewSecrets(**{"mine": b"new", "mine-previous": b"old"})
    graph = open_graph(canned, clock, proof=ClientSecret("mine"), secrets=secrets)
    await graph.mailboxes(TENANT).item("mailbox", "i")
    assert [form(request)["client_secret"] for request in canned.tokens] == ["new", "old"]
    canned.token = refusing("old")
    clock.advance(timedelta(seconds=4000))
    await graph.mailboxes(TENANT).item("mailbox", "i")
    assert [form(request)["client_secret"] for request in canned.tokens[2:]] == ["new"]


async def test_when_no_credential_is_taken_the_store_is_asked_anew_before_the_tenant_is_stopped(clock: VirtualClock) -> None:
    canned = Canned(token=refusing("old"))
    secrets = KeptSecrets(mine=b"old")
    secrets.known["mine"] = b"new"
    graph = open_graph(canned, clock, proof=ClientSecret("mine"), secrets=secrets)
    await graph.mailboxes(TENANT).item("mailbox", "i")
    canned.token = refusing("old", "new")
    clock.advance(timedelta(seconds=4000))
    with pytest.raises(TenantError) as caught:
        await graph.mailboxes(TENANT).item("mailbox", "i")
    assert caught.value.reason is Reason.CREDENTIAL_REJECTED


async def test_consent_that_is_missing_is_not_asked_for_with_an_older_secret(clock: VirtualClock) -> None:
    body = {"error": "invalid_grant", "error_description": "AADSTS65001: no consent."}
    canned = Canned(token=lambda _: httpx.Response(400, json=body))
    secrets = FewSecrets(**{"mine": b"new", "mine-previous": b"old"})
    with pytest.raises(TenantError) as caught:
        await open_graph(canned, clock, proof=ClientSecret("mine"), secrets=secrets).mailboxes(TENANT).item("mailbox", "i")
    assert caught.value.reason is Reason.CONSENT_MISSING
    assert len(canned.tokens) == 1


class KeptSecrets(FewSecrets):
    """Hands out what it was made with until it is asked for something fresh."""

    def __init__(self, **known: bytes) -> None:
        super().__init__(**known)
        self._kept = dict(known)

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:
        if fresh:
            self._kept = dict(self.known)
        return [self._kept[name]]


@pytest.mark.parametrize(
    ("authority", "audience"),
    [
        ("https://login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        ("https://login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
    ],
)
async def test_a_managed_identity_of_a_national_cloud(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, authority: str, audience: str
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:41741/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    asked: list[str] = []

    class WithIdentity(Canned):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path != "/msi/token":
                return await super().handle_async_request(request)
            asked.append(request.url.params["resource"])
            return httpx.Response(200, json={"access_token": "vouched", "expires_on": "9999999999", "resource": audience})

    graph = open_graph(WithIdentity(), clock, proof=ManagedIdentity("the-identity"), authority=authority)
    await graph.mailboxes(TENANT).item("mailbox", "i")
    assert asked == [audience]


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


def _pkcs12(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    certificate = x509.load_pem_x509_certificate(pem)
    return pkcs12.serialize_key_and_certificates(None, key, certificate, None, serialization.NoEncryption())


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
