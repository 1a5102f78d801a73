from __future__ import annotations

from pathlib import Path

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from cloud.settings import AUTHORITY, GRAPH, Settings, StorageSettings
from sync_core.errors import InputError

CLIENT = "5f0c6f6e-2a57-4a51-9a0e-0d6a8f7c1b11"
IDENTITY = "0b9c2f54-7a38-4d7e-8e5b-3f6f3d0f9a22"
MINIMAL = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "ROLLCALL_INSTALLATION": "contoso-prod",
    "ROLLCALL_SECRETS": "https://contoso.vault.azure.net/",
    "ROLLCALL_REGION": "westeurope",
    "ROLLCALL_CLIENT_ID": CLIENT,
    "ROLLCALL_CLIENT_SECRET_NAME": "graph-secret",
}
KEYED = "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=a2V5;EndpointSuffix=core.windows.net"


def read(**changes: str) -> Settings:
    return Settings.from_environment({**MINIMAL, **changes})


def test_the_least_that_must_be_set() -> None:
    settings = read()
    assert settings.installation == "contoso-prod"
    assert settings.region == "westeurope"
    assert settings.client_id == CLIENT
    assert (settings.vault_url, settings.secrets_file) == ("https://contoso.vault.azure.net", None)
    assert (settings.graph, settings.authority, settings.lease_seconds) == (GRAPH, AUTHORITY, 600)
    assert (settings.client_secret_name, settings.certificate_name, settings.identity_client_id) == ("graph-secret", "", "")


def test_what_may_be_set_besides() -> None:
    settings = read(
        ROLLCALL_SECRETS="file:.local/secrets.json",
        ROLLCALL_GRAPH="http://127.0.0.1:9000/v1.0/",
        ROLLCALL_AUTHORITY=" http://localhost:9000 ",
        ROLLCALL_LEASE_SECONDS="30",
        ROLLCALL_CLIENT_SECRET_NAME="",
        ROLLCALL_IDENTITY_CLIENT_ID=IDENTITY.upper(),
    )
    assert (settings.vault_url, settings.secrets_file) == ("", Path(".local/secrets.json"))
    assert (settings.graph, settings.authority) == ("http://127.0.0.1:9000/v1.0", "http://localhost:9000")
    assert settings.lease_seconds == 30
    assert (settings.client_secret_name, settings.identity_client_id) == ("", IDENTITY)
    assert read(ROLLCALL_CLIENT_SECRET_NAME="", ROLLCALL_CERTIFICATE_NAME="graph-cert").certificate_name == "graph-cert"


def test_who_may_connect_themselves_and_where() -> None:
    assert (read().tenants, read().address, read().eu_address) == (frozenset(), "", "")
    assert read(ROLLCALL_TENANTS=f" {CLIENT.upper()}, {IDENTITY},").tenants == frozenset({CLIENT, IDENTITY})
    assert read(ROLLCALL_TENANTS="Any").tenants is None
    settings = read(ROLLCALL_ADDRESS="https://rollcall.example/", ROLLCALL_EU_ADDRESS="https://eu.rollcall.example")
    assert (settings.address, settings.eu_address) == ("https://rollcall.example", "https://eu.rollcall.example")


@pytest.mark.parametrize(
    "connection_string",
    [
        "UseDevelopmentStorage=true",
        "usedevelopmentstorage=True;",
        KEYED,
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
        "TableEndpoint=http://localhost:11002/devstoreaccount1;QueueEndpoint=http://localhost:11001/devstoreaccount1;",
        "TableEndpoint=https://c.table.core.windows.net;QueueEndpoint=https://c.queue.core.windows.net;SharedAccessSignature=sv=1&sig=x",
    ],
)
async def test_connection_strings_that_the_sdk_takes(connection_string: str) -> None:
    storage = read(AzureWebJobsStorage=connection_string).storage
    async with (
        TableServiceClient.from_connection_string(storage.connection_string) as tables,
        QueueServiceClient.from_connection_string(storage.connection_string) as queues,
    ):
        assert "localhost" not in tables.url + queues.url
    assert (storage.table_endpoint, storage.queue_endpoint) == ("", "")


def test_storage_by_identity() -> None:
    by_name = {
        "AzureWebJobsStorage": "",
        "AzureWebJobsStorage__accountName": "contoso",
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": IDENTITY,
    }
    expected = ("https://contoso.table.core.windows.net", "https://contoso.queue.core.windows.net")
    assert read(**by_name).storage == StorageSettings("", *expected, IDENTITY)
    by_service = {
        "AzureWebJobsStorage": "",
        "AzureWebJobsStorage__tableServiceUri": "https://contoso.table.core.windows.net/",
        "AzureWebJobsStorage__queueServiceUri": "https://contoso.queue.core.windows.net",
        "AzureWebJobsStorage__credential": "managedIdentity",
    }
    assert read(**by_service).storage == StorageSettings("", *expected, "")


def test_a_storage_key_is_not_shown() -> None:
    assert "a2V5" not in repr(read(AzureWebJobsStorage=KEYED))


NO_STORAGE = {"AzureWebJobsStorage": ""}
WRONG: list[tuple[str, dict[str, str]]] = [
    *((name, {name: ""}) for name in MINIMAL),
    *(
        ("ROLLCALL_INSTALLATION", {"ROLLCALL_INSTALLATION": value})
        for value in ["short", "x" * 37, "Contoso-Prod", "contoso prod"]
    ),
    *(
        ("ROLLCALL_SECRETS", {"ROLLCALL_SECRETS": value})
        for value in [
            "file:",
            "vault",
            "http://v.example",
            "ftp://x",
            "https://u:p@v.example",
            "https://v.example?x=1",
            "https://[",
        ]
    ),
    ("ROLLCALL_REGION", {"ROLLCALL_REGION": "West Europe"}),
    *(("ROLLCALL_TENANTS", {"ROLLCALL_TENANTS": value}) for value in ["all", f"{CLIENT},contoso", "*"]),
    ("ROLLCALL_ADDRESS", {"ROLLCALL_ADDRESS": "http://rollcall.example"}),
    ("ROLLCALL_EU_ADDRESS", {"ROLLCALL_EU_ADDRESS": "eu.rollcall.example"}),
    ("ROLLCALL_CLIENT_ID", {"ROLLCALL_CLIENT_ID": "contoso-app"}),
    *(("ROLLCALL_GRAPH", {"ROLLCALL_GRAPH": value}) for value in ["http://graph.microsoft.com/v1.0", "graph", "https://g:x"]),
    ("ROLLCALL_AUTHORITY", {"ROLLCALL_AUTHORITY": "http://localhost.evil.example"}),
    *(("ROLLCALL_LEASE_SECONDS", {"ROLLCALL_LEASE_SECONDS": value}) for value in ["0", "4", "3601", "-5", "ten", "1e3", "٣٠"]),
    ("ROLLCALL_CLIENT_SECRET_NAME", {"ROLLCALL_CERTIFICATE_NAME": "graph-cert"}),
    ("ROLLCALL_CLIENT_SECRET_NAME", {"ROLLCALL_CLIENT_SECRET_NAME": "secret_with_underscore"}),
    ("ROLLCALL_IDENTITY_CLIENT_ID", {"ROLLCALL_CLIENT_SECRET_NAME": "", "ROLLCALL_IDENTITY_CLIENT_ID": "me"}),
    *(
        ("AzureWebJobsStorage", {"AzureWebJobsStorage": value})
        for value in [
            "nonsense",
            "AccountName=contoso",
            KEYED.replace("https", "http"),
            KEYED + ";TableEndpoint=http://contoso.example;QueueEndpoint=https://contoso.example",
            "SharedAccessSignature=sv=1;TableEndpoint=https://contoso.example",
        ]
    ),
    (
        "AzureWebJobsStorage__accountName",
        NO_STORAGE | {"AzureWebJobsStorage__accountName": "Contoso.evil", "AzureWebJobsStorage__credential": "managedidentity"},
    ),
    ("AzureWebJobsStorage__credential", NO_STORAGE | {"AzureWebJobsStorage__accountName": "contoso"}),
    ("AzureWebJobsStorage__queueServiceUri", NO_STORAGE | {"AzureWebJobsStorage__tableServiceUri": "https://t.example"}),
    (
        "AzureWebJobsStorage__clientId",
        NO_STORAGE
        | {
            "AzureWebJobsStorage__accountName": "contoso",
            "AzureWebJobsStorage__credential": "managedidentity",
            "AzureWebJobsStorage__clientId": "me",
        },
    ),
]


@pytest.mark.parametrize(("name", "changes"), WRONG)
def test_a_wrong_or_missing_setting_is_named_and_its_value_is_not_repeated(name: str, changes: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"must|missing|set exactly") as raised:
        read(**changes)
    assert raised.value.field == name
    assert "a2V5" not in str(raised.value)
