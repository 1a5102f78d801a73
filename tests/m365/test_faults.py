"""Bad days: what the switches do, to single requests, batch items and whole batches."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from local.m365.faults import Fault, FaultKind
from tests.m365.conftest import World, item, refused


def names(world: World) -> list[str]:
    """The given names in the mailbox, as they really are."""
    return [contact.values["givenName"] for contact in world.tenant.contacts(world.user)]


async def create(world: World, name: str = "A") -> httpx.Response:
    return await world.client.post(f"{world.me}/contacts", json={"givenName": name})


def creations(world: World, count: int) -> list[dict[str, object]]:
    return [item(str(n), "POST", f"{world.me}/contacts", {"givenName": str(n)}) for n in range(count)]


async def test_a_refusal_is_not_carried_out_and_strikes_as_often_as_told(world: World) -> None:
    fault = world.service.faults.add(Fault(FaultKind.ERROR, times=2, status=503, retry_after=7, method="POST"))
    assert (await world.client.get(f"{world.me}/contacts")).status_code == 200
    answer = await create(world)
    refused(answer, 503, "ServiceUnavailable")
    assert answer.headers["Retry-After"] == "7"
    assert (await create(world)).status_code == 503
    assert names(world) == []
    assert (await create(world)).status_code == 201
    assert (fault.fired, world.service.faults.fired["error"]) == (2, 2)


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_errors_carry_the_status_told(world: World, status: int) -> None:
    world.service.faults.add(Fault(FaultKind.ERROR, times=1, status=status))
    assert (await create(world)).status_code == status


async def test_half_of_all_items_throttled_for_a_minute(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.THROTTLED, share=0.5, seconds=60, retry_after=2))
    statuses: list[int] = []
    for _ in range(10):
        answers = await world.batch(*creations(world, 20))
        statuses += [answer["status"] for answer in answers.values()]
        assert all(answer["headers"]["Retry-After"] == "2" for answer in answers.values() if answer["status"] == 429)
    assert 60 < statuses.count(429) < 140
    assert len(names(world)) == statuses.count(201)
    world.clock.advance(timedelta(seconds=60))
    assert {answer["status"] for answer in (await world.batch(*creations(world, 20))).values()} == {201}


async def test_a_dropped_connection_before_and_after_execution(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.DROPPED, times=1))
    with pytest.raises(httpx.ConnectError):
        await create(world)
    assert names(world) == []
    world.service.faults.add(Fault(FaultKind.LOST, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        await create(world)
    assert names(world) == ["A"]


async def test_an_answer_lost_as_504(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LOST, times=1, answer="504"))
    refused(await create(world), 504, "GatewayTimeout")
    assert names(world) == ["A"]


async def test_the_answer_of_one_item_is_lost(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LOST, times=1, method="POST"))
    answers = await world.batch(*creations(world, 5))
    assert sorted(answer["status"] for answer in answers.values()) == [201, 201, 201, 201, 504]
    assert sorted(names(world)) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("kind", [FaultKind.DROPPED, FaultKind.LOST])
async def test_a_whole_batch_is_dropped_before_or_after_its_items(world: World, kind: FaultKind) -> None:
    world.service.faults.add(Fault(kind, times=1, scope="batch"))
    assert (await create(world, "single")).status_code == 201, "single requests are not batches"
    with pytest.raises(httpx.TransportError):
        await world.batch(*creations(world, 5))
    assert len(names(world)) == (6 if kind is FaultKind.LOST else 1)


async def test_a_whole_batch_is_throttled(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.THROTTLED, times=1, scope="batch", retry_after=3))
    answer = await world.client.post("/$batch", json={"requests": creations(world, 2)})
    refused(answer, 429, "ApplicationThrottled")
    assert answer.headers["Retry-After"] == "3"
    assert names(world) == []


async def test_a_late_write_commits_after_its_504(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LATE, times=1, delay=30))
    refused(await create(world), 504, "GatewayTimeout")
    world.clock.advance(timedelta(seconds=29))
    assert (await world.get(f"{world.me}/contacts"))["value"] == []
    assert world.service.pending == 1
    world.clock.advance(timedelta(seconds=1))
    assert [contact["givenName"] for contact in (await world.get(f"{world.me}/contacts"))["value"]] == ["A"]
    assert world.service.pending == 0


async def test_a_late_batch_commits_all_its_items(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LATE, times=1, delay=30, scope="batch"))
    refused(await world.client.post("/$batch", json={"requests": creations(world, 3)}), 504, "GatewayTimeout")
    assert names(world) == []
    world.clock.advance(timedelta(seconds=30))
    assert names(world) == ["0", "1", "2"]


async def test_a_delete_is_carried_out_and_answered_404(world: World) -> None:
    made = (await create(world)).json()["id"]
    world.service.faults.add(Fault(FaultKind.DELETE_NOT_FOUND, times=1))
    refused(await world.client.delete(f"{world.me}/contacts/{made}"), 404, "ErrorItemNotFound")
    assert list(world.tenant.live_contacts(world.user)) == []


async def test_a_fault_may_be_about_one_mailbox_one_path_or_what_a_predicate_says(world: World) -> None:
    faults = world.service.faults
    faults.add(Fault(FaultKind.ERROR, mailbox=world.people[1]))
    faults.add(Fault(FaultKind.ERROR, path=r"\$top=7"))
    faults.add(Fault(FaultKind.ERROR, predicate=lambda call: call.template == "/users/{id}"))
    faults.add(Fault(FaultKind.ERROR, template="/users/{id}/contactFolders"))
    assert (await world.client.get(f"{world.me}/contacts")).status_code == 200
    for path in (f"/users/{world.people[1]}/contacts", f"{world.me}/contacts?$top=7", world.me, f"{world.me}/contactFolders"):
        assert (await world.client.get(path)).status_code == 503, path
    faults.clear()
    assert (await world.client.get(world.me)).status_code == 200


async def test_latency_passes_on_the_stand_ins_clock(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LATENCY, delay=2))
    world.service.faults.add(Fault(FaultKind.LATENCY, delay=1, method="POST"))
    began = world.clock.now()
    await create(world)
    assert (world.clock.now() - began).total_seconds() == 3
