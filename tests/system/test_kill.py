"""Killed at any moment and started again it converges, and so does one chunk in the hands of two live processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from tests.system.machine import ROOT, TENANT, Host, Json, Machine, foreign, machine, person, tenant_file, until, wrongs

PEOPLE, MAILBOXES = 60, 12
ALL = PEOPLE * MAILBOXES


def users() -> list[Json]:
    """Sixty people, twelve of them with a mailbox; two of these keep contacts of their own that look like ours."""
    found = [person(number, **({"mailbox": "ok"} if number < MAILBOXES else {})) for number in range(PEOPLE)]
    twin = {"displayName": "Person Number003", "emailAddresses": [{"address": "person.003@example.com", "name": "Person"}]}
    found[0]["contactFolders"] = [
        {"displayName": "Colleagues", "contacts": [twin]},
        {"displayName": "Family", "contacts": [twin]},
    ]
    found[1]["contacts"] = [twin, {"displayName": "Aunt", "mobilePhone": "1"}]
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    host_json = json.loads((ROOT / "host.json").read_text())
    # one message at a time and short pauses, so that two hosts share the work
    host_json["extensions"]["queues"] |= {"batchSize": 1, "newBatchThreshold": 0, "maxPollingInterval": "00:00:00.200"}
    with machine(tmp_path_factory.mktemp("kill"), tenant_file(users()), host_json) as running:
        running.fault("latency", delay=0.02)
        yield running


@pytest.fixture(scope="module")
def people() -> dict[str, Json]:
    """The directory as the tests have changed it."""
    return {user["id"]: user for user in users()}


def pictures(world: Machine) -> list[Json]:
    return [world.mailbox(user["id"]) for user in users()[:MAILBOXES]]


def assert_right(world: Machine, people: dict[str, Json], sync: str, before: list[Json]) -> None:
    """Every folder is exactly right, there is nothing of ours anywhere else, and foreign things are as they were."""
    after = pictures(world)
    assert [wrong for mailbox in after for wrong in wrongs(mailbox, people, sync)] == []
    assert [foreign(mailbox) for mailbox in after] == [foreign(mailbox) for mailbox in before]
    assert world.counters()["violations"] == []
    assert max(width["highest"] for width in world.counters()["widths"].values()) <= 4


def test_a_first_sync_killed_again_and_again_converges(world: Machine, people: dict[str, Json]) -> None:
    before = pictures(world)
    host = world.host()
    host.define("killed", "Colleagues")

    # while the directory is read
    slow = world.fired("latency")
    world.fault("latency", delay=1.5, times=1, path="/users/delta")
    run = host.start("killed")
    until(lambda: world.fired("latency") > slow, "the directory is read")
    host.kill()

    # in the first batches
    host = world.host()
    until(lambda: world.created() > ALL * 0.1, "the first batches are sent")
    host.kill()
    assert world.created() < ALL

    # when most is done; the directory changes while nobody is there
    host = world.host()
    until(lambda: world.created() > ALL * 0.8, "most is done")
    host.kill()
    change_directory(world, people)

    # when all is done but the run is still open
    host = world.host()
    host.start("killed")  # follows the one that is under way
    until(lambda: host.served(run) == MAILBOXES, "every mailbox has its result")
    assert host.run(run)["state"] == "running"
    host.kill()

    host = world.host()
    ended = host.until_ended(run)
    assert (ended["state"], ended["people"], ended["mailboxes"]) == ("succeeded", PEOPLE, {"done": MAILBOXES})
    until(lambda: len(host.runs("killed")) == 2, "another run follows")
    assert host.until_ended(host.runs("killed")[0])["state"] == "succeeded"
    assert_right(world, people, "killed", before)
    host.kill()


def change_directory(world: Machine, people: dict[str, Json]) -> None:
    """A leaver, a new hire, a new name and a number that goes."""
    leaver, renamed, cleared = (person(number)["id"] for number in (PEOPLE - 1, 6, 7))
    hired = person(PEOPLE)
    world.directory(
        {"op": "remove", "user": leaver},
        {"op": "add", "values": {key: value for key, value in hired.items() if key != "mailbox"}, "mailbox": "none"},
        {"op": "change", "user": renamed, "values": {"displayName": "Person Renamed", "surname": "Renamed"}},
        {"op": "change", "user": cleared, "values": {"mobilePhone": None}},
    )
    del people[leaver]
    people[hired["id"]] = hired
    people[renamed] |= {"displayName": "Person Renamed", "surname": "Renamed"}
    people[cleared] |= {"mobilePhone": None}


def copy_first_chunk(world: Machine, sync: str, run: str, *, times: int) -> None:
    """Enqueue a run's first chunk again, as soon as it is there."""
    with (
        TableServiceClient.from_connection_string(world.azurite.connection_string) as tables,
        queue(world) as chunks,
    ):
        rows = tables.get_table_client("chunks")
        until(lambda: [*rows.query_entities(f"PartitionKey eq '{TENANT}:{run}'")], "the chunk is planned")
        message = json.dumps({"tenant": TENANT, "sync": sync, "run": run, "chunk": 0, "part": 0})
        for _ in range(times):
            chunks.send_message(message)


def queue(world: Machine) -> QueueClient:
    return QueueClient.from_connection_string(
        world.azurite.connection_string, "sync-chunk", message_encode_policy=TextBase64EncodePolicy()
    )


def test_one_chunk_delivered_to_two_live_processes_is_served_once(world: Machine, people: dict[str, Json]) -> None:
    before, begun = pictures(world), world.created()
    hosts = [world.host(), world.host()]
    hosts[0].define("twice", "Twice")
    run = hosts[0].start("twice")
    copy_first_chunk(world, "twice", run, times=3)
    ended = hosts[1].until_ended(run)
    assert (ended["state"], ended["counts"]["created"]) == ("succeeded", ALL)
    assert world.created() - begun == ALL
    with queue(world) as chunks:  # a delivery that finds the claims held waits outside
        assert chunks.get_queue_properties().approximate_message_count
    assert_right(world, people, "twice", before)
    for host in hosts:
        host.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_process_that_sleeps_past_its_claim_writes_nothing_when_it_wakes(world: Machine, people: dict[str, Json]) -> None:
    before, begun = pictures(world), world.created()
    sleeper = world.host()
    sleeper.define("slept", "Slept")
    run = sleeper.start("slept")
    until(lambda: world.created() > begun + ALL * 0.2, "the sync is in the middle")
    os.kill(sleeper.child.pid, signal.SIGSTOP)
    other: Host | None = None
    try:
        other = world.host()
        assert other.until_ended(run)["state"] == "succeeded"
        done = world.counters()["requests"]
    finally:
        os.kill(sleeper.child.pid, signal.SIGCONT)
    until(lambda: sleeper.run(run)["state"] == "succeeded", "the sleeper is awake")
    time.sleep(0.5)  # what it had in hand it would write now
    assert world.counters()["requests"] == done
    assert_right(world, people, "slept", before)
    for host in (sleeper, other):
        host.kill()
