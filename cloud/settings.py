"""What the app is told by its environment, checked at the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from gdpr.encryption import MASTER_KEY
from sync_core.errors import InputError

STORAGE = "AzureWebJobsStorage"
GRAPH = "https://graph.microsoft.com/v1.0"
AUTHORITY = "https://login.microsoftonline.com"
LEASE_SECONDS = 600
_LOCALHOSTS = {"localhost", "127.0.0.1", "::1"}
# The emulator's account and key, the same everywhere:
# https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where tables and queues are: a connection string, or else two endpoints used with a managed identity.

    `identity_client_id` is "" for the system-assigned identity.
    """

    connection_string: str = field(default="", repr=False)
    table_endpoint: str = ""
    queue_endpoint: str = ""
    identity_client_id: str = ""

    @property
    def blob_endpoint(self) -> str:
        """Where blobs are: beside the tables."""
        return self.table_endpoint.replace(".table.", ".blob.", 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings; of `vault_url` and `secrets_file` one is set, and of the three names of credentials one.

    `tenants` are those that may connect themselves, None for any. `address` is where people reach the app.
    """

    storage: StorageSettings
    installation: str
    region: str
    client_id: str
    vault_url: str = ""
    secrets_file: Path | None = None
    master_key_name: str = MASTER_KEY
    graph: str = GRAPH
    authority: str = AUTHORITY
    client_secret_name: str = ""
    certificate_name: str = ""
    identity_client_id: str = ""
    lease_seconds: int = LEASE_SECONDS
    tenants: frozenset[str] | None = frozenset()
    address: str = ""
    eu_address: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raises InputError that names the setting and says what to do."""
        source = _Environment(environ)
        vault_url, secrets_file = _secrets(source.required("ROLLCALL_SECRETS", "the URL of a Key Vault, or file:<path>"))
        return cls(
            storage=_storage(source),
            installation=source.matching(
                "ROLLCALL_INSTALLATION",
                r"[a-z0-9-]{8,36}",
                "8 to 36 characters a-z, 0-9 and -; it stands in every mark, so it must never change",
            ),
            region=source.matching("ROLLCALL_REGION", r"[a-z0-9]{3,40}", "the Azure region this app runs in, such as westeurope"),
            client_id=source.uuid("ROLLCALL_CLIENT_ID", "the application (client) id of the app registration"),
            vault_url=vault_url,
            secrets_file=secrets_file,
            master_key_name=_secret_name("ROLLCALL_MASTER_KEY_NAME", source.get("ROLLCALL_MASTER_KEY_NAME") or MASTER_KEY),
            graph=source.url("ROLLCALL_GRAPH", GRAPH),
            authority=source.url("ROLLCALL_AUTHORITY", AUTHORITY),
            lease_seconds=source.whole("ROLLCALL_LEASE_SECONDS", LEASE_SECONDS, least=5, most=3600),
            tenants=_tenants(source.get("ROLLCALL_TENANTS")),
            address=_checked_url("ROLLCALL_ADDRESS", address) if (address := source.get("ROLLCALL_ADDRESS")) else "",
            eu_address=_checked_url("ROLLCALL_EU_ADDRESS", eu) if (eu := source.get("ROLLCALL_EU_ADDRESS")) else "",
            **_credential(source),
        )


class _Environment:
    """Values by name, without the blanks around them; an empty one counts as missing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def required(self, name: str, what: str) -> str:
        value = self.get(name)
        if not value:
            raise InputError(name, f"is missing: set it to {what}")
        return value

    def matching(self, name: str, pattern: str, what: str) -> str:
        value = self.required(name, what)
        if not re.fullmatch(pattern, value):
            raise InputError(name, f"must be {what}")
        return value

    def uuid(self, name: str, what: str) -> str:
        try:
            return str(UUID(self.required(name, what)))
        except ValueError:
            raise InputError(name, f"must be {what}, a UUID") from None

    def url(self, name: str, default: str) -> str:
        return _checked_url(name, self.get(name) or default)

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.get(name)
        if not value:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise InputError(name, f"must be a whole number from {least} to {most}")
        return int(value)


def _storage(source: _Environment) -> StorageSettings:
    connection_string = source.get(STORAGE)
    if connection_string:
        return StorageSettings(connection_string=_connection_string(connection_string))
    account = source.get(f"{STORAGE}__accountName")
    tables, queues = f"{STORAGE}__tableServiceUri", f"{STORAGE}__queueServiceUri"
    if account:
        if not re.fullmatch(r"[a-z0-9]{3,24}", account):
            raise InputError(f"{STORAGE}__accountName", "must be a storage account's name: 3 to 24 characters a-z and 0-9")
        endpoints = [f"https://{account}.{service}.core.windows.net" for service in ("table", "queue")]
    elif source.get(tables) or source.get(queues):
        endpoints = [_checked_url(name, source.required(name, "the service's URL")) for name in (tables, queues)]
    else:
        raise InputError(STORAGE, f"is missing: set it to a connection string, or set {STORAGE}__accountName to use an identity")
    if source.get(f"{STORAGE}__credential").lower() != "managedidentity":
        raise InputError(f"{STORAGE}__credential", "must be managedidentity when storage is named without a connection string")
    client_id = f"{STORAGE}__clientId"
    identity = source.uuid(client_id, "the client id of the managed identity") if source.get(client_id) else ""
    return StorageSettings(table_endpoint=endpoints[0], queue_endpoint=endpoints[1], identity_client_id=identity)


def _connection_string(value: str) -> str:
    if value.rstrip(";").lower() == "usedevelopmentstorage=true":
        return _DEVELOPMENT_STORAGE
    parts = dict(part.strip().partition("=")[::2] for part in value.split(";") if part.strip())
    endpoints = [parts[name] for name in ("TableEndpoint", "QueueEndpoint") if name in parts]
    if not ("AccountName" in parts and "AccountKey" in parts) and not ("SharedAccessSignature" in parts and len(endpoints) == 2):
        raise InputError(STORAGE, "must be a storage account's connection string, with AccountName and AccountKey")
    for endpoint in endpoints:
        _checked_url(STORAGE, endpoint)
    if parts.get("DefaultEndpointsProtocol", "https") != "https" and len(endpoints) < 2:
        raise InputError(STORAGE, "must use https: plain http is for this very machine only")
    # The SDK takes any port of "localhost" but 10002 for Cosmos DB, which speaks another dialect.
    return value.replace("://localhost", "://127.0.0.1")


def _secrets(value: str) -> tuple[str, Path | None]:
    if value.startswith("file:"):
        path = value.removeprefix("file:")
        if not path:
            raise InputError("ROLLCALL_SECRETS", "must name a file after file:")
        return "", Path(path)
    return _checked_url("ROLLCALL_SECRETS", value), None


def _secret_name(setting: str, value: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", value):
        raise InputError(setting, "must be the name of a secret: letters, digits and hyphens")
    return value


def _tenants(value: str) -> frozenset[str] | None:
    if value.lower() == "any":
        return None
    try:
        return frozenset(str(UUID(part.strip())) for part in value.split(",") if part.strip())
    except ValueError:
        raise InputError("ROLLCALL_TENANTS", "must be tenant ids separated by commas, or any") from None


def _credential(source: _Environment) -> dict[str, str]:
    names = {
        "ROLLCALL_CLIENT_SECRET_NAME": "client_secret_name",
        "ROLLCALL_CERTIFICATE_NAME": "certificate_name",
        "ROLLCALL_IDENTITY_CLIENT_ID": "identity_client_id",
    }
    given = [name for name in names if source.get(name)]
    if len(given) != 1:
        rest = list(names)[1:]
        problem = f"set exactly one of it, {rest[0]} and {rest[1]}, not {len(given)}: it says how the app signs in to Graph"
        raise InputError(next(iter(names)), problem)
    (name,) = given
    if name == "ROLLCALL_IDENTITY_CLIENT_ID":
        return {names[name]: source.uuid(name, "the client id of the managed identity")}
    return {names[name]: source.matching(name, r"[0-9A-Za-z-]{1,127}", "the secret's name, of letters, digits and -")}


def _checked_url(name: str, value: str) -> str:
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        host = None
    if host is None or url.scheme not in ("http", "https") or url.query or url.fragment or "@" in url.netloc:
        raise InputError(name, "must be a URL such as https://example.net, without a query")
    if url.scheme == "http" and host not in _LOCALHOSTS:
        raise InputError(name, "must use https: plain http is for this very machine only")
    return value.rstrip("/")
