"""The stand-in as a program: tenant files, the demo tenant, HTTP, control, the record, and Microsoft's own SDK."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.clock import SystemClock
from local.m365 import __main__ as program
from local.m365 import people, tenant_file
from local.m365.server import Server
from local.m365.service import Microsoft365
from local.m365.tenant_install import install
from local.m365.transport import Microsoft365Transport
from tests.m365.conftest import APP, IMMUTABLE, SECRET, TENANT, World

FILE: dict[str, Any] = {
    "id": TENANT,
    "displayName": "Contoso",
    "app": {"clientId": APP, "clientSecret": SECRET},
    "users": [
        {
            "userPrincipalName": "ann@contoso.example",
            "displayName": "Ann",
            "contacts": [{"givenName": "Mum"}],
            "contactFolders": [
                {"displayName": "Club", "contacts": [{"givenName": "Kim"}], "childFolders": [{"displayName": "Old"}]}
            ],
        },
        {"userPrincipalName": "bob@contoso.example", "displayName": "Bob", "mailbox": "onPremises"},
    ],
    "groups": [{"displayName": "All", "members": ["ann@contoso.example"]}],
    "orgContacts": [{"displayName": "Supplier", "mail": "s@example.com"}],
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The file with one change."""
    copy: dict[str, Any] = json.loads(json.dumps(FILE))
    change(copy)
    return copy


def test_a_tenant_file_becomes_a_tenant() -> None:
    service = Microsoft365(SystemClock())
    tenant = install(service, tenant_file.parse(json.dumps(FILE).encode()))
    ann = tenant.directory.user("ann@contoso.example")
    assert ann is not None
    assert [contact.values["givenName"] for contact in tenant.contacts(ann["id"], "Club")] == ["Kim"]
    assert [contact.values["givenName"] for contact in tenant.contacts(ann["id"], "contacts")] == ["Mum"]
    assert tenant.folder(ann["id"], "Old").parent is tenant.folder(ann["id"], "Club")
    group = next(iter(tenant.directory.groups.objects))
    assert list(tenant.directory.members(group)) == [ann["id"]]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda file: file.pop("id"), "id"),
        (lambda file: file.update(colour="blue"), "colour"),
        (lambda file: file["app"].update(clientId="x"), "app.clientId"),
        (lambda file: file["users"][0].pop("userPrincipalName"), "users.0.userPrincipalName"),
        (lambda file: file["users"][1].update(mailbox="gone"), "users.1.mailbox"),
        (lambda file: file["users"][1].update(shoeSize=44), "users.1"),
        (lambda file: file["users"][1].update(businessPhones="1"), "users.1"),
        (lambda file: file["users"][0]["contacts"].append({"shoeSize": 44}), "users.0.contacts"),
        (lambda file: file["users"].append(file["users"][0]), "users.2.userPrincipalName"),
    ],
)
def test_a_wrong_tenant_file_is_refused_by_the_name_of_its_field(change: Callable[[dict[str, Any]], object], place: str) -> None:
    with pytest.raises(tenant_file.TenantFileError) as caught:
        tenant_file.parse(changed(change))
    assert any(problem.startswith(f"{place}:") for problem in caught.value.problems), caught.value.problems


def test_the_example_in_the_documentation_works() -> None:
    text = (Path(program.__file__).parents[2] / "docs" / "tenant-file.md").read_text(encoding="utf-8")
    example = text.split("```json\n")[1].split("```")[0]
    file = tenant_file.parse(example.encode())
    assert [client.roles for client in file.app.automation] == [{"Rollcall.Admin"}, {"Rollcall.Compliance"}]  # for the demo
    tenant = install(Microsoft365(SystemClock()), file)
    assert len(tenant.directory.users.objects) == 3


def test_unknown_members_are_named() -> None:
    file = tenant_file.parse(changed(lambda file: file["groups"][0]["members"].append("carl@contoso.example")))
    with pytest.raises(tenant_file.TenantFileError, match=r"groups\.0\.members\.1: .*carl"):
        install(Microsoft365(SystemClock()), file)


def test_the_program_names_what_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tenant.json"
    path.write_text(json.dumps(changed(lambda file: file["users"][1].update(mailbox="gone"))))
    assert program.main(["--tenant", str(path)]) == 2
    assert "users.1.mailbox" in capsys.readouterr().err
    assert program.main(["--tenant", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


def test_the_demo_tenant_is_always_the_same_and_as_untidy_as_life() -> None:
    demo = people.demo()
    assert demo == people.demo()
    users = demo["users"]
    assert len(users) == 250
    assert len({user["id"] for user in users}) == 250
    licensed = [user for user in users if user.get("assignedPlans")]
    assert len(licensed) == 40
    assert {user["mailbox"] for user in licensed} == {"ok", "none", "onPremises", "outOfScope"}
    assert len({user["usageLocation"] for user in users if "usageLocation" in user}) >= 15
    scripts = {name for user in users for character in user["displayName"] for name in [_script(character)] if name}
    assert scripts >= {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "CJK", "HANGUL", "DEVANAGARI", "HIRAGANA"}
    assert sum(user.get("userType") == "Guest" for user in users) == 4
    assert any(not user.get("accountEnabled", True) and user["mailbox"] == "none" for user in users)


def _script(character: str) -> str:
    import unicodedata

    return unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""


def test_the_demo_tenant_comes_in_any_size() -> None:
    for size, mailboxes in ((1, 1), (50, 50), (200, 150)):
        users = people.demo_tenant(size, mailboxes).users
        assert len(users) == size
        assert sum(bool(user.values.get("assignedPlans")) for user in users) == pytest.approx(mailboxes, abs=mailboxes * 0.1)


# --- HTTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running server with the small tenant."""
    service = Microsoft365(SystemClock())
    install(service, tenant_file.parse(FILE))
    async with Server(service) as running:
        yield running


@asynccontextmanager
async def _signed_in(url: str) -> AsyncIterator[httpx.AsyncClient]:
    form = {
        "grant_type": "client_credentials",
        "client_id": APP,
        "client_secret": SECRET,
        "scope": "https://graph.microsoft.com/.default",
    }
    async with httpx.AsyncClient(base_url=f"{url}/v1.0") as client:
        token = (await client.post(f"{url}/{TENANT}/oauth2/v2.0/token", data=form)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def test_over_http_links_lead_back_to_the_server(server: Server) -> None:
    async with _signed_in(server.url) as client:
        page = (await client.get("/users", params={"$top": 1, "$select": "displayName"})).json()
        assert page["@odata.nextLink"].startswith(f"{server.url}/v1.0/users?")
        assert (await client.get(page["@odata.nextLink"])).json()["value"][0]["displayName"] == "Bob"
        made = await client.post("/users/ann@contoso.example/contacts", json={"givenName": "Žofie"})
        assert made.json()["givenName"] == "Žofie"
        again = (await client.get(f"/users/ann@contoso.example/contacts/{made.json()['id']}")).json()
        assert again == made.json() | {"@odata.context": again["@odata.context"]}


async def test_another_process_switches_faults_and_acts_as_admin_and_phone(server: Server) -> None:
    async with _signed_in(server.url) as client, httpx.AsyncClient(base_url=f"{server.url}/control") as control:
        assert (await control.get("/tenants")).json()[0]["id"] == TENANT
        hire = {"op": "add", "values": {"userPrincipalName": "new@contoso.example", "displayName": "New"}}
        ids = (await control.post("/directory", json={"tenant": TENANT, "operations": [hire]})).json()["ids"]
        assert (await client.get(f"/users/{ids[0]}")).json()["displayName"] == "New"
        acts = [
            {"op": "disable", "user": ids[0]},
            {"op": "change", "user": ids[0], "values": {"mobilePhone": None}},
            {"op": "remove", "user": ids[0]},
        ]
        assert (await control.post("/directory", json={"tenant": TENANT, "operations": acts})).status_code == 200
        assert (await client.get(f"/users/{ids[0]}")).status_code == 404
        ann = (await client.get("/users/ann@contoso.example")).json()["id"]
        made = (await client.post(f"/users/{ann}/contacts", json={"givenName": "A"}, headers=IMMUTABLE)).json()["id"]
        phone = [
            {"op": "edit", "contact": made, "values": {"mobilePhone": "1"}},
            {"op": "move", "contact": made, "folder": "Club"},
        ]
        assert (await control.post("/mailbox", json={"tenant": TENANT, "user": ann, "operations": phone})).status_code == 200
        truth = (await control.get("/mailbox", params={"tenant": TENANT, "user": ann})).json()
        club = next(folder for folder in truth["folders"] if folder["path"] == "Contacts/Club")
        assert [contact["mobilePhone"] for contact in club["contacts"]] == [None, "1"]
        await control.post("/faults", json={"kind": "dropped", "times": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"/users/{ann}/contacts")
        assert (await control.get("/faults")).json()["fired"] == {"dropped": 1}
        before = (await control.post("/advance", json={"seconds": 0})).json()["now"]
        assert (await control.post("/advance", json={"seconds": 86400})).json()["now"] > before
        assert (await client.get(f"/users/{ann}")).status_code == 401, "a day later the token has expired"
        counted = (await control.get("/counters")).json()
        assert counted["mailboxes"][ann] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/faults", {"kind": "nonsense"}, 400, "kind"),
        ("/faults", {"kind": "error", "shoeSize": 1}, 400, "shoeSize"),
        ("/directory", {"tenant": TENANT, "operations": [{"op": "change", "values": {}}]}, 400, "user"),
        (
            "/directory",
            {"tenant": TENANT, "operations": [{"op": "add", "values": {"userPrincipalName": "x@y", "shoeSize": 1}}]},
            400,
            "shoeSize",
        ),
        ("/directory", {"tenant": "nobody", "operations": []}, 404, "nobody"),
        ("/advance", {"seconds": -1}, 400, "seconds"),
        ("/nonsense", {}, 404, "nonsense"),
    ],
)
async def test_control_says_what_is_wrong(server: Server, path: str, body: dict[str, Any], status: int, words: str) -> None:
    async with httpx.AsyncClient(base_url=f"{server.url}/control") as control:
        answer = await control.post(path, json=body)
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]


async def test_the_record_has_a_line_per_request_and_batch_item() -> None:
    world = World()
    log = BytesIO()
    world.service.record_to(log)
    await world.sign_in()
    await world.get("/users?$top=1")
    await world.batch(
        {
            "id": "a",
            "method": "POST",
            "url": f"{world.me}/contacts",
            "body": {"givenName": "A"},
            "headers": {"Content-Type": "application/json"},
        },
        {"id": "b", "method": "GET", "url": "/users/nobody"},
    )
    lines = {line.get("item", ""): line for line in map(json.loads, log.getvalue().splitlines())}
    assert set(lines) == {"", "a", "b"}
    assert (lines[""]["method"], lines[""]["path"], lines[""]["status"]) == ("GET", "/users?$top=1", 200)
    assert lines["a"]["body"] == {"givenName": "A"}
    assert (lines["a"]["status"], lines["b"]["status"]) == (201, 404)
    assert "Contacts.ReadWrite" in lines["a"]["permissions"]


async def test_it_starts_alone_and_ends_on_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "tenant.json"
    path.write_text(json.dumps({**FILE, "users": []} | {"groups": []}))
    command = [sys.executable, "-m", "local.m365", "--tenant", str(path), "--record", str(tmp_path / "log")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert "http://127.0.0.1:" in line
        url = line.split(" at ")[1].split("/v1.0")[0]
        async with _signed_in(url) as client:
            assert (await client.get("/users")).json()["value"] == []
    finally:
        process.terminate()
        assert await process.wait() == 0
    assert json.loads((tmp_path / "log").read_text())["path"] == "/users"


# The SDK's generated request builders warn of themselves when they are imported.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_microsofts_own_sdk_is_served(world: World) -> None:
    from kiota_abstractions.api_client_builder import register_default_deserializer, register_default_serializer
    from kiota_abstractions.authentication import AnonymousAuthenticationProvider
    from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
    from kiota_serialization_json.json_serialization_writer_factory import JsonSerializationWriterFactory
    from msgraph.generated.models.contact import Contact
    from msgraph.generated.models.email_address import EmailAddress
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.users.item.contacts.contacts_request_builder import ContactsRequestBuilder
    from msgraph.graph_request_adapter import GraphRequestAdapter

    register_default_serializer(JsonSerializationWriterFactory)
    register_default_deserializer(JsonParseNodeFactory)
    http = httpx.AsyncClient(transport=Microsoft365Transport(world.service), base_url="https://graph.microsoft.com/v1.0")
    http.headers["Authorization"] = world.client.headers["Authorization"]
    adapter = GraphRequestAdapter(AnonymousAuthenticationProvider(), http)
    contacts = ContactsRequestBuilder(adapter, {"baseurl": "https://graph.microsoft.com/v1.0", "user%2Did": world.user})
    made = await contacts.post(Contact(given_name="Ann", surname="Lee", email_addresses=[EmailAddress(address="a@b.example")]))
    assert made is not None
    assert made.display_name == "Ann Lee"
    listed = await contacts.get()
    assert listed is not None
    assert [contact.display_name for contact in listed.value or []] == ["Ann Lee"]
    with pytest.raises(ODataError) as refusal:
        await contacts.post(Contact(additional_data={"shoeSize": 44}))
    assert refusal.value.error is not None
    assert refusal.value.error.code == "RequestBodyRead"
    await http.aclose()
