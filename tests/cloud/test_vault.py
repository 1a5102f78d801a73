"""Secrets through Microsoft's client against a vault that answers as Key Vault does: challenge first, then the secret."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from cryptography import x509

from cloud.vault import VaultSecrets
from sync_core.errors import InputError, NotFoundError, TransientError
from tests.cloud.tls import certificate_for


class Credential:
    async def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        assert scopes == ("https://vault.azure.net/.default",)
        return AccessToken("a-token", 2**40)

    async def close(self) -> None:
        return None

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


@dataclass
class Vault:
    secrets: dict[str, str] = field(default_factory=dict)
    versions: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)  # of the secret "cert"
    status: int = 200
    served: int = 0
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer a-token":
            challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        self.served += 1
        name = request.match_info["name"]
        if self.status != 200:
            return web.json_response({"error": {"code": "Other", "message": "no"}}, status=self.status)
        version = request.match_info["version"].strip("/")
        if name == "cert" and version == "versions":
            return web.json_response(
                {
                    "value": [
                        {"id": f"{self.url}/secrets/cert/{each}", "attributes": of} for each, (_, of) in self.versions.items()
                    ]
                }
            )
        if name == "cert" and version in self.versions:
            value, attributes = self.versions[version]
            return web.json_response({"id": f"{self.url}/secrets/cert/{version}", "value": value, "attributes": attributes})
        if name not in self.secrets:
            return web.json_response({"error": {"code": "SecretNotFound", "message": "no"}}, status=404)
        return web.json_response(
            {"id": f"{self.url}/secrets/{name}/1", "value": self.secrets[name], "attributes": {"enabled": True}}
        )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_for(x509.IPAddress(ip_address("127.0.0.1")), tmp_path_factory.mktemp("vault") / "vault.pem")


@pytest.fixture
async def vault(certificate: Path) -> AsyncIterator[Vault]:
    vault = Vault()
    app = web.Application()
    app.router.add_get("/secrets/{name}/{version:.*}", vault.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    vault.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield vault
    await runner.cleanup()


@pytest.fixture
async def now() -> list[float]:
    return [0.0]


@pytest.fixture
async def secrets(vault: Vault, certificate: Path, now: list[float]) -> AsyncIterator[VaultSecrets]:
    options = {
        "verify_challenge_resource": False,
        "connection_verify": str(certificate),
        "retry_total": 1,
        "retry_backoff_factor": 0,
    }
    secrets = VaultSecrets(vault.url, Credential(), max_age=10, monotonic=lambda: now[0], **options)
    yield secrets
    await secrets.close()


async def test_a_secret_is_read_when_asked_for_and_again_when_it_has_aged(
    vault: Vault, secrets: VaultSecrets, now: list[float]
) -> None:
    assert vault.served == 0
    vault.secrets["key"] = "Zoë"
    assert [await secrets.get("key"), await secrets.get("key")] == ["Zoë".encode()] * 2
    assert vault.served == 1
    vault.secrets["key"] = "rotated"
    now[0] = 9.9
    assert await secrets.get("key") == "Zoë".encode()
    now[0] = 10
    assert await secrets.get("key") == b"rotated"


async def test_a_missing_secret_is_not_found_until_it_is_there(vault: Vault, secrets: VaultSecrets) -> None:
    vault.secrets["empty"] = ""
    for name in ("key", "empty"):
        with pytest.raises(NotFoundError, match=name):
            await secrets.get(name)
    vault.secrets["key"] = "x"
    assert await secrets.get("key") == b"x"


async def test_while_a_secret_is_rotated_its_newest_two_good_versions_are_there_newest_first(
    vault: Vault, secrets: VaultSecrets, now: list[float]
) -> None:
    past, future = 1_500_000_000, 9_999_999_999
    vault.versions = {
        "a": ("oldest", {"enabled": True, "created": past}),
        "c": ("newest", {"enabled": True, "created": past + 20}),
        "b": ("older", {"enabled": True, "created": past + 10, "exp": future}),
        "d": ("disabled", {"enabled": False, "created": past + 30}),
        "e": ("expired", {"enabled": True, "created": past + 40, "exp": past + 50}),
        "f": ("not yet good", {"enabled": True, "created": past + 60, "nbf": future}),
    }
    assert await secrets.versions("cert") == [b"newest", b"older"]
    served = vault.served
    del vault.versions["c"]
    assert await secrets.versions("cert") == [b"newest", b"older"]
    assert vault.served == served
    assert await secrets.versions("cert", fresh=True) == [b"older", b"oldest"]
    vault.versions = {"g": ("rotated", {"enabled": True, "created": past + 70})}
    now[0] = 10
    assert await secrets.versions("cert") == [b"rotated"]
    vault.versions.clear()
    with pytest.raises(NotFoundError, match="cert"):
        await secrets.versions("cert", fresh=True)


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, InputError), (401, InputError), (429, TransientError), (500, TransientError), (503, TransientError)],
)
async def test_a_vault_that_refuses_or_is_busy(vault: Vault, secrets: VaultSecrets, status: int, error: type[Exception]) -> None:
    vault.secrets["key"] = "x"
    vault.status = status
    with pytest.raises(error):
        await secrets.get("key")
    vault.status = 200
    assert await secrets.get("key") == b"x"


async def test_a_vault_out_of_reach_is_transient(certificate: Path) -> None:
    secrets = VaultSecrets("https://127.0.0.1:9", Credential(), verify_challenge_resource=False, retry_total=0)
    with pytest.raises(TransientError):
        await secrets.get("key")
    await secrets.close()
