"""Erasures of a person and of a tenant, killed at any moment: started again they finish, and leave nothing of whom they erase."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from azure.data.tables import TableServiceClient

import composition
from cloud.settings import Settings
from gdpr import audit_trail
from gdpr.audit_check import verify
from sync_core.state import names
from tests.system.machine import ROOT, TENANT, Host, Json, Machine, foreign, machine, person, tenant_file, until, wrongs

PEOPLE, MAILBOXES = 12, 8
TWIN = {"displayName": "Person Number003", "emailAddresses": [{"address": "person.003@example.com", "name": "Person"}]}
TABLES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}


def users() -> list[Json]:
    """People of whom most have a mailbox; two keep contacts of their own of the one who is erased."""
    found = [person(number, **({"mailbox": "ok"} if number < MAILBOXES else {})) for number in range(PEOPLE)]
    found[0]["contactFolders"] = [{"displayName": "Family", "contacts": [TWIN]}]
    found[1]["contacts"] = [TWIN]
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    host_json = json.loads((ROOT / "host.json").read_text())
    host_json["extensions"]["queues"] |= {"batchSize": 1, "newBatchThreshold": 0, "maxPollingInterval": "00:00:00.200"}
    tenant = tenant_file(users())
    tenant["app"]["automation"][0]["roles"].append("Rollcall.Compliance")
    with machine(tmp_path_factory.mktemp("kill"), tenant, host_json) as running:
        yield running


def removed(world: Machine) -> int:
    """Contacts that were asked to be removed for good."""
    return sum(count for name, count in world.counters()["templates"].items() if "permanentdelete" in name)


def request_of(host: Host, request: str) -> Json:
    return host.ask("GET", f"privacy/requests/{request}")


def test_erasures_killed_again_and_again_finish(world: Machine) -> None:
    mailboxes = [user["id"] for user in users()[:MAILBOXES]]
    host = world.host()
    host.define("people", "Colleagues")
    assert host.until_ended(host.start("people"))["state"] == "succeeded"
    before = [foreign(world.mailbox(mailbox)) for mailbox in mailboxes]
    gone = person(3)
    request = str(host.ask("POST", "privacy/requests", {"kind": "erasure", "emails": [gone["mail"]]})["request"])
    keys = [match["key"] for match in host.ask("GET", f"privacy/requests/{request}/matches")["items"]]
    assert keys == [f"u:{gone['id']}"]

    # while it is written down whom to suppress, or just after
    host.ask("POST", f"privacy/requests/{request}/confirm", {"keys": keys})
    until(lambda: request_of(host, request)["step"] >= 1, "the person is suppressed", every=0.05)
    host.kill()

    # while mailboxes are cleaned: the answers of the first ones are under way
    world.fault("latency", delay=1.0, times=1, path="/permanentDelete")
    host = world.host()
    until(lambda: removed(world) >= 1 or world.fired("latency") >= 1, "the first mailbox is cleaned", every=0.02)
    host.kill()
    assert removed(world) < 2 * MAILBOXES

    host = world.host()
    host.start("people")
    until(lambda: request_of(host, request)["state"] == "done", "it is done", seconds=90, every=0.1)
    ended = request_of(host, request)
    assert ended["counts"]["foundWhenLookedAgain"] == 0
    [receipt] = [entry for entry in host.ask("GET", "audit/entries")["items"] if entry["action"] == "erasure.done"]
    assert receipt["sequence"] == ended["receipt"]
    assert host.ask("GET", "audit/verification")["sound"]
    for run in host.runs("people"):
        host.until_ended(run)
    left = {user["id"]: user for user in users() if user["id"] != gone["id"]}
    after = [world.mailbox(mailbox) for mailbox in mailboxes]
    assert [wrong for mailbox in after for wrong in wrongs(mailbox, left, "people")] == []
    assert [foreign(mailbox) for mailbox in after] == before, "also what lies in Deleted Items is as it was"
    _erase_tenant(world, host)


async def _after(world: Machine) -> tuple[list[str], bool]:
    """The actions in the trail, and whether it is sound."""
    context = composition.build(Settings.from_environment(world.environment))
    try:
        actions = [entry.action async for entry in audit_trail.entries(context, TENANT)]
        return actions, (await verify(context, TENANT)).sound
    finally:
        for adapter in (context.tables, context.queues, context.blobs, context.graph):
            await adapter.close()  # type: ignore[union-attr]


def _erase_tenant(world: Machine, host: Host) -> None:
    """The same for the tenant, killed as soon as nothing of it opens any more."""
    boxes = [world.mailbox(user["id"]) for user in users()[:MAILBOXES]]
    with TableServiceClient.from_connection_string(world.azurite.connection_string) as tables:

        def rows(table: str) -> list[Json]:
            return [dict(row) for row in tables.get_table_client(table).list_entities()]

        host.ask("POST", "connection/disconnect", {"remove": False})
        until(lambda: not any(row["RowKey"] == "keys" for row in rows("tenants")), "the key is destroyed")
        host.kill()
        host = world.host()
        until(lambda: not rows("departures"), "all is done", every=0.1)
        host.kill()
        left = {table.name: rows(table.name) for table in tables.list_tables()}
    assert {table for table, found in left.items() if found} <= {names.AUDIT}
    actions, sound = asyncio.run(_after(world))
    assert (actions.count("tenant.erased"), sound) == (1, True)
    assert [world.mailbox(user["id"]) for user in users()[:MAILBOXES]] == boxes, "who keeps the contacts keeps them"
