"""Nothing personal outside the encrypted tables: not on disk, in queues, in logs, in runs or in answers."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from aiohttp import ClientSession
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

import composition
import function_app
from api.principal import Role
from api.signin.authentication import sign_in
from cloud.queues import AzureQueues
from gdpr.data_map import Category, stored_in, unknown
from local.azurite import Azurite
from local.clock import SystemClock
from local.connect import connect
from local.host import FunctionsHost, HostSettings, QueueSettings
from local.m365.entra.apps import Automation
from local.m365.entra.minting import mint
from local.m365.faults import Fault, FaultKind
from local.m365.photos import drawn
from local.m365.server import Server
from local.m365.service import Microsoft365
from local.m365.tenant import App, Tenant
from sync_core.contacts import OWNED_FIELDS
from sync_core.directory import SELECT
from sync_core.errors import InputError, LostPagesError
from sync_core.ports import Put
from sync_core.sources.handed_photos import SIDES
from sync_core.sources.images import photo_of
from sync_core.state.ledgers import LedgerStore
from sync_core.state.names import LEDGERS, SNAPSHOTS, SOURCES, TENANTS, partition
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.sources import SourceStore
from tests.engine import world as memory
from tests.system.canaries import found, found_bytes
from tests.system.machine import CLIENT, CLIENT_SECRET, ROBOT, TENANT, make_secrets, settings

CONTROL = "Kontrollkanarie äöü"
# Texts that occur nowhere else. One in each property that we read of a directory user, and in what a user has beside our folder.
CANARIES = {
    "displayName": "Zilpzalp Kanarienvogel",
    "givenName": "Zilpzalpa",
    "surname": "Kanarienvögel",
    "companyName": "Girlitzwerke",
    "department": "Stieglitzpflege",
    "jobTitle": "Oberzeisigin",
    "officeLocation": "Volierenflur",
    "mail": "zilpzalp@girlitz.example",
    "userPrincipalName": "gimpelkonto@girlitz.example",
    "streetAddress": "Bluthaenflingsgasse",
    "city": "Distelfinkhausen",
    "state": "Erlenzeisigland",
    "postalCode": "99887766",
    "mobilePhone": "15198765432",
    "businessPhones": "3098765431",
    "proxyAddresses": "buchfinkalias@girlitz.example",
    "onPremisesExtensionAttributes": "Wendehalsattribut",
}
FACE = 20261122
PRIVATE = {"displayName": "Tante Rotkehlchenprivat", "personalNotes": "Heckenbraunellengeheimnis"}
EVENT = {
    "subject": "Goldammerbesprechung",
    "body": "Wiesenpieperprotokoll",
    "location": "Sumpfmeisensaal",
    "attendee": "Schafstelze Weidenlaubsaenger",
    "address": "schafstelze@girlitz.example",
}
UPLOADED = {"Display name": "Trauerschnaepper Listengast", "E-mail address": "trauerschnaepper@girlitz.example"}
PLAIN = {
    "id",
    "country",
    "usageLocation",
    "userType",
    "employeeType",
    "accountEnabled",
    "isResourceAccount",
    "assignedPlans",
}  # nothing that names a person
ALL = (
    *CANARIES.values(),
    *EVENT.values(),
    *UPLOADED.values(),
    *(word for text in PRIVATE.values() for word in [text.split()[-1]]),
    CLIENT_SECRET,
)


def canary_user(**more: Any) -> dict[str, Any]:
    user: dict[str, Any] = dict(CANARIES)
    user["mobilePhone"] = "+49 151 98765432"
    user["businessPhones"] = ["+49 30 98765431"]
    user["proxyAddresses"] = [f"SMTP:{CANARIES['mail']}", f"smtp:{CANARIES['proxyAddresses']}"]
    user["onPremisesExtensionAttributes"] = {"extensionAttribute1": CANARIES["onPremisesExtensionAttributes"]}
    return {**user, "usageLocation": "DE", "country": "Germany", **more}


def test_every_property_that_is_read_has_a_canary() -> None:
    assert set(SELECT) <= CANARIES.keys() | PLAIN
    assert len(OWNED_FIELDS) < len(CANARIES)


@pytest.mark.parametrize("text", [CONTROL, "Zilpzalpa"])
def test_a_canary_is_found_in_every_form(text: str) -> None:
    for written in (
        text.encode(),
        text.upper().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        *(b64encode(b"x" * offset + text.encode() + b"tail") for offset in range(5)),
        *(b64encode(b"x" * offset + text.encode("utf-16-le") + b"tail") for offset in range(5)),
        quote(text).encode(),
        json.dumps(text).encode(),
        text.encode().hex().encode(),
    ):
        assert found([text], b"before" + written + b"after") == [text]
    assert found([text], b"Zilpzalp and Kontroll are not enough") == []


class Recorder:
    """Everything that leaves the app: queue messages and HTTP answers."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def __call__(self, part: object) -> None:
        self.parts.append(part if isinstance(part, bytes) else json.dumps(part, ensure_ascii=False).encode())


def book(tenant: Tenant, user: str) -> None:
    """An event in a user's own calendar."""
    calendars, tomorrow = tenant.calendars(user), SystemClock().now() + timedelta(days=1)
    times = [{"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"} for at in (tomorrow, tomorrow + timedelta(hours=1))]
    guest = {"name": EVENT["attendee"], "address": EVENT["address"]}
    values = {
        "subject": EVENT["subject"],
        "body": {"contentType": "text", "content": EVENT["body"]},
        "location": {"displayName": EVENT["location"]},
        "attendees": [{"emailAddress": guest, "type": "required"}],
    }
    calendars.create(calendars.default, {**values, "start": times[0], "end": times[1]})


async def sync_everything(url: str, tenant: Tenant, cloud: Microsoft365, host: FunctionsHost, record: Recorder) -> None:
    """Syncs with creations, updates, deletions, refusals, faults, a held run, bad requests and a poisoned message."""
    token = mint(cloud.entra.keys, tenant, cloud.now(), client=ROBOT)
    headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
    async with ClientSession(f"{url}/api/", headers=headers) as client:

        async def ask(method: str, path: str, body: object = None) -> Any:
            async with client.request(method, path, json=body) as answer:
                content = await answer.read()
                record(content)
                record(dict(answer.headers))
                return json.loads(content)

        async def run(sync: str = "people") -> dict[str, Any]:
            started = await ask("POST", f"syncs/{sync}/runs", {"check": "everything"})
            for _ in range(200):
                await host.run_until_idle()
                state = await ask("GET", f"runs/{started['run']}")
                if state["state"] not in ("queued", "running"):
                    break
            await ask("GET", f"runs/{started['run']}/mailboxes")
            return cast("dict[str, Any]", state)

        definition = {"name": "People", "folder": "Colleagues", "schedule": {"kind": "manual"}, "photos": "240x240"}
        await ask("POST", "syncs", {"sync": "people", "definition": definition})
        users = [
            tenant.add_user({**canary_user(), "userPrincipalName": f"n{n}.{CANARIES['userPrincipalName']}"}) for n in range(3)
        ]
        for user in users:
            tenant.set_photo(user, FACE)
        tenant.set_mailbox_state(users[2], "outOfScope")
        box = tenant.mailbox(users[0])
        box.create(box.contacts, {"displayName": PRIVATE["displayName"], "personalNotes": PRIVATE["personalNotes"]}, {})
        cloud.faults.add(Fault(FaultKind.LOST, times=1, method="POST", path="/contacts"))
        first = (await run())["counts"]
        assert first["created"] >= 6
        assert first["photos"] >= 4  # the photo of the third is out of scope, too
        pushed = {"id": "1", "displayName": CANARIES["displayName"], "photo": b64encode(drawn(FACE, 300)).decode()}
        assert (await ask("PUT", "sources/crm/items", {"items": [pushed]}))["people"] == 1

        file = "\n".join((",".join(UPLOADED), ",".join(UPLOADED.values()))).encode()
        async with client.put("uploads/guests", data=file, headers={"Content-Type": "text/csv"}) as answer:
            assert answer.status == 200, await answer.text()
        faceless = {name: value for name, value in definition.items() if name != "photos"}
        second = {"sources": [{"kind": "file", "id": "guests"}, {"kind": "push", "id": "crm"}], "folder": "Guests"}
        await ask("POST", "syncs", {"sync": "second", "definition": {**faceless, **second}})
        assert (await run("second"))["counts"]["created"] >= 2
        book(tenant, users[1])
        rooms = {"folder": "Rooms", "sources": [{"kind": "calendar", "mailbox": users[1]}], "events": {"attendees": True}}
        assert "sync" in await ask("POST", "syncs", {"sync": "rooms", "definition": {**faceless, **rooms}})
        assert (await run("rooms"))["counts"]["created"] >= 2

        tenant.change_user(users[0], {"department": f"{CANARIES['department']} neu"})
        cloud.faults.add(Fault(FaultKind.ERROR, times=1, status=400, code="ErrorInvalidRequest", method="PATCH"))
        await run()
        for user in users:
            tenant.remove_user(user)
        assert (await run())["state"] == "held"
        await ask("GET", "runs")
        await ask("PUT", "syncs/people", {**definition, "targets": {"include": [CANARIES["mail"]]}})
        await ask("GET", f"syncs/{quote(CANARIES['mail'])}")
        await ask("GET", "syncs/people")
        await composition.context().queues.send("sync-start", {"tenant": TENANT, "sync": "people", "run": "gone", "more": 1})
        await host.run_until_idle()

        async def quietly(method: str, path: str, body: object = None) -> Any:
            """What compliance officers may see is not part of what must not leave."""
            async with client.request(method, path, json=body) as answer:
                assert answer.status < 300, await answer.text()
                return json.loads(await answer.read()) if answer.content_type == "application/json" else {}

        personal = {**definition, "name": CANARIES["displayName"], "folder": CANARIES["companyName"]}
        await quietly("POST", "syncs", {"sync": "named", "definition": personal})
        canary = {"emails": [CANARIES["mail"]], "phones": [canary_user()["mobilePhone"]]}
        named = {"emails": [EVENT["address"], UPLOADED["E-mail address"]]}
        for kind, whom in (("export", canary), ("export", named), ("erasure", named), ("erasure", canary)):
            person = {"kind": kind, **whom}
            request = (await quietly("POST", "privacy/requests", person))["request"]
            matches = (await quietly("GET", f"privacy/requests/{request}/matches"))["items"]
            assert matches
            await ask("POST", f"privacy/requests/{request}/confirm", {"keys": [match["key"] for match in matches]})
            for _ in range(200):
                await host.run_until_idle()
                state = await ask("GET", f"privacy/requests/{request}")
                if state["state"] != "running":
                    break
            assert state["state"] == "done"
        assert (await ask("GET", "audit/verification"))["sound"]
        await quietly("POST", "purge", {})


async def test_no_personal_data_leaves_the_encrypted_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    record, send = Recorder(), AzureQueues.send

    async def recording(self: AzureQueues, queue: str, message: Any, *, delay: float = 0) -> None:
        record(dict(message))
        await send(self, queue, message, delay=0)

    monkeypatch.setattr(AzureQueues, "send", recording)
    location = tmp_path / "azurite"
    location.mkdir()
    await make_secrets(tmp_path / "secrets.json")
    cloud = Microsoft365(SystemClock())
    tenant = cloud.add_tenant(TENANT, "Example", App(CLIENT, CLIENT_SECRET))
    tenant.app.sign_ins.automation[ROBOT] = Automation(ROBOT, "", ROBOT, frozenset({Role.ADMIN, Role.COMPLIANCE}))
    with Azurite(location) as storage:
        async with Server(cloud) as server:
            environment = settings(server.url, storage.connection_string, tmp_path / "secrets.json")
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            for cached in (composition.context, composition.identity, sign_in):
                cached.cache_clear()
            await connect(environment, TENANT, default_country="DE")
            host = FunctionsHost(
                function_app.app,
                HostSettings(queues=QueueSettings(max_polling_interval=0.1)),
                environment=environment,
            )
            async with host:
                await sync_everything(host.url, tenant, cloud, host, record)
            context = cast("Any", composition.context())
            composition.context.cache_clear()
            for adapter in (context.tables, context.queues, context.blobs, context.graph):
                await adapter.close()
        unmapped, personal = look_at_all(storage)
        rows, waiting = write_control(storage)
    files = b"\n".join(file.read_bytes() for file in location.rglob("*") if file.is_file())
    logs = "\n".join(logging.Formatter("%(name)s %(message)s").format(entry) for entry in caplog.records).encode()

    assert found([CONTROL], files) == [CONTROL], "the scan is blind"
    assert TENANT.encode() in files
    assert b"rollcall" in logs
    assert len(record.parts) > 20
    assert found(ALL, files) == []
    assert found(ALL, b"\n".join([*record.parts, waiting])) == []
    assert found(ALL, logs) == []
    assert found(ALL, rows) == []
    assert unmapped == []
    assert personal == []
    handed_over = [photo_of(drawn(FACE, 300), side) for side in SIDES]
    for photo in (drawn(FACE, 240), photo_of(drawn(FACE, 240), 240), drawn(FACE, 300), *handed_over):
        face = photo[-90:-30]  # of the picture, behind what all JPEGs begin with
        assert found_bytes(face, b"before" + b64encode(b"xy" + photo))
        assert not any(found_bytes(face, part) for part in (files, logs, rows, waiting, *record.parts))


def look_at_all(storage: Azurite) -> tuple[list[str], list[str]]:
    """What is in any table that the data map does not know, and, after the purge, the rows that still hold contact data."""
    unmapped: list[str] = []
    personal: list[str] = []
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        for table in tables.list_tables():
            stored = stored_in(table.name)
            assert stored, table.name
            for row in tables.get_table_client(table.name).list_entities():
                values = {name: value for name, value in row.items() if name not in ("PartitionKey", "RowKey")}
                unmapped += unknown(table.name, values)
                personal += [f"{table.name}.{name}" for name in values if stored.category(name) is Category.CONTENT]
    return unmapped, personal


def write_control(storage: Azurite) -> tuple[bytes, bytes]:
    """Leave a text in a plain row, so that the scan of the files is known to see what is there.

    Returns all rows of runs, chunks and poison, and all messages that still wait.
    """
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        tables.create_table("control").create_entity(
            {"PartitionKey": "p", "RowKey": "r", "Text": CONTROL, "Bytes": CONTROL.encode()}
        )
        rows = [
            dict(row)
            for name in ("runs", "chunks", "poison", "syncs", "replicas")
            for row in tables.get_table_client(name).list_entities()
        ]
    assert len(rows) > 5
    with QueueServiceClient.from_connection_string(storage.connection_string) as queues:
        messages = [
            str(message.content)
            for queue in queues.list_queues()
            for message in queues.get_queue_client(queue.name).peek_messages(32)
        ]
    return repr(rows).encode(), "\n".join(messages).encode()


async def test_sealed_rows_do_not_open_elsewhere() -> None:
    """Copied to another tenant, another sync, another mailbox or another page, stored bytes say nothing."""
    world = memory.World()
    people = world.hire_many(3)
    await world.connect()
    await world.run()
    tables, here, there = world.tables, memory.TENANT, memory.TENANT.replace("1", "9")
    own, other = await world.context.keyring.keys(here), await world.context.keyring.keys(there)

    async def copy(table: str, source: str, target: str, rename: dict[str, str] | None = None) -> int:
        rows = [row async for row in tables.query(table, source)]
        for row in rows:
            await tables.commit(table, target, [Put((rename or {}).get(row.row, row.row), row.values)])
        return len(rows)

    assert await SourceStore(tables, own, here, "users").head()
    assert await copy(SOURCES, partition(here, "users"), partition(there, "users"))
    assert await SourceStore(tables, other, there, "users").head() is None
    assert await SourceStore(tables, own, there, "users").head() is None

    snapshots = SnapshotStore(tables, own.sealer, here, memory.SYNC)
    head = await snapshots.head()
    assert head
    for tenant, sync, keys in ((there, memory.SYNC, other), (here, "another", own), (there, memory.SYNC, own)):
        assert await copy(SNAPSHOTS, partition(here, memory.SYNC), partition(tenant, sync))
        elsewhere = SnapshotStore(tables, keys.sealer, tenant, sync)
        assert await elsewhere.head() is None
        with pytest.raises(LostPagesError):
            await elsewhere.page(head, 0)

    ledgers = LedgerStore(tables, own.sealer, here, memory.SYNC)
    assert await ledgers.open(people[0])
    swap = {f"{people[0]}:00000": f"{people[1]}:00000", f"{people[1]}:00000": f"{people[0]}:00000"}
    assert await copy(LEDGERS, partition(here, memory.SYNC), partition(here, memory.SYNC), swap) >= 3
    assert await ledgers.open(people[0]) is None
    assert await ledgers.open(people[1]) is None
    assert await ledgers.open(people[2])

    stolen = await tables.get(TENANTS, here, "keys")
    assert stolen
    await tables.commit(TENANTS, there, [Put("keys", stolen.values)])
    with pytest.raises(InputError):
        await world.worker("fresh").keyring.keys(there)
