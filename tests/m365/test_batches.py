"""JSON batching and the limits that come with it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from local.m365.photos import drawn
from local.m365.service import Settings
from tests.m365.conftest import IMMUTABLE, World, item, refused


def creation(world: World, key: str, **body: Any) -> dict[str, Any]:
    return item(key, "POST", f"{world.me}/contacts", body or {"givenName": key})


async def test_a_batch_answers_each_item_by_its_id(world: World) -> None:
    answers = await world.batch(
        creation(world, "1"),
        item("2", "GET", "/users?$select=id&$top=2"),
        item("3", "GET", f"{world.me}/contacts/123"),
        item("4", "GET", "/nowhere"),
    )
    assert {key: answer["status"] for key, answer in answers.items()} == {"1": 201, "2": 200, "3": 400, "4": 400}
    assert answers["1"]["body"]["givenName"] == "1"
    assert answers["2"]["body"]["@odata.nextLink"].startswith("https://graph.microsoft.com/v1.0/users?")
    assert answers["3"]["body"]["error"]["code"] == "ErrorInvalidIdMalformed"


async def test_answers_come_in_any_order(world: World) -> None:
    answer = await world.post("/$batch", {"requests": [item(str(n), "GET", world.me) for n in range(20)]})
    ids = [response["id"] for response in answer["responses"]]
    assert sorted(ids, key=int) == [str(n) for n in range(20)] != ids


async def test_each_item_has_its_own_prefer_header(world: World) -> None:
    answers = await world.batch(
        creation(world, "plain"), creation(world, "lasting") | {"headers": {"Content-Type": "application/json", **IMMUTABLE}}
    )
    box = world.tenant.mailbox(world.user)
    found = {key: box.find(answer["body"]["id"]).id == answer["body"]["id"] for key, answer in answers.items()}
    assert found == {"plain": False, "lasting": True}


def _many(count: int) -> list[dict[str, Any]]:
    return [item(str(n), "GET", "/users") for n in range(count)]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"requests": []},
        {"requests": _many(21)},
        {"requests": [item("a", "GET", "/users"), item("A", "GET", "/users")]},
        {"requests": [{"method": "GET", "url": "/users"}]},
        {"requests": [{"id": 1, "method": "GET", "url": "/users"}]},
        {"requests": [{"id": "1", "url": "/users"}]},
        {"requests": [{"id": "1", "method": "GET"}]},
        {"requests": [item("1", "GET", "https://graph.microsoft.com/v1.0/users")]},
        {"requests": [{"id": "1", "method": "POST", "url": "/users/x/contacts", "body": {}}]},
        {"requests": [item("1", "GET", "/users", depends_on=["2"])]},
        {"requests": [item("1", "GET", "/users", dependsOn=["2"]), item("2", "GET", "/users")]},
        {"requests": [*_many(3), item("x", "GET", "/users", dependsOn=["0"]), item("y", "GET", "/users", dependsOn=["1"])]},
    ],
)
async def test_a_malformed_batch_is_refused_as_a_whole(world: World, payload: dict[str, Any]) -> None:
    refused(await world.client.post("/$batch", json=payload), 400, "BadRequest")
    assert world.service.counters.requests == 0


async def test_a_batch_holds_at_most_four_megabytes(world: World) -> None:
    requests = [creation(world, str(n), givenName="x" * 250_000) for n in range(20)]
    refused(await world.client.post("/$batch", json={"requests": requests}), 413, "RequestEntityTooLarge")


async def test_what_depends_on_a_failure_is_not_carried_out(world: World) -> None:
    serial = [
        creation(world, "1"),
        creation(world, "2", shoeSize=44) | {"dependsOn": ["1"]},
        creation(world, "3") | {"dependsOn": ["2"]},
        creation(world, "4") | {"dependsOn": ["3"]},
    ]
    assert {key: answer["status"] for key, answer in (await world.batch(*serial)).items()} == {
        "1": 201,
        "2": 400,
        "3": 424,
        "4": 424,
    }
    star = [creation(world, "1"), creation(world, "2") | {"dependsOn": ["1"]}, creation(world, "3") | {"dependsOn": ["1"]}]
    assert {answer["status"] for answer in (await world.batch(*star)).values()} == {201}
    assert len(world.tenant.contacts(world.user)) == 4


# --- concurrency -----------------------------------------------------------------------------------------------------


async def test_outlook_items_of_a_batch_go_four_at_a_time_and_never_breach_the_limit(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LATENCY, delay=0.25))
    began = world.clock.now()
    answers = await world.batch(*[creation(world, str(n)) for n in range(20)])
    assert {answer["status"] for answer in answers.values()} == {201}
    assert (world.clock.now() - began).total_seconds() == pytest.approx(5 * 0.25)
    width = world.service.counters.widths[world.user]
    assert width.highest == 4
    assert width.used() == pytest.approx(1.0)


async def test_items_of_several_mailboxes_in_one_batch_are_no_faster(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LATENCY, delay=1))
    began = world.clock.now()
    await world.batch(*[item(str(n), "GET", f"/users/{user}/contacts") for n, user in enumerate(world.people * 2)])
    assert (world.clock.now() - began).total_seconds() == pytest.approx(3)
    began = world.clock.now()
    await world.batch(*[item(str(n), "GET", f"/users/{user}") for n, user in enumerate(world.people * 2)])
    assert (world.clock.now() - began).total_seconds() == pytest.approx(1), "the directory is not Outlook"


async def test_a_fifth_request_of_one_mailbox_is_throttled_and_other_mailboxes_are_not(world: World) -> None:
    answers = await asyncio.gather(
        *[world.client.get(f"{world.me}/contacts") for _ in range(5)], world.client.get(f"/users/{world.people[1]}/contacts")
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 200, 429]
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert refused(throttled, 429, "ApplicationThrottled")["message"] == "Application is over its MailboxConcurrency limit."
    assert int(throttled.headers["Retry-After"]) > 0
    assert world.service.counters.widths[world.user].highest == 4


async def test_two_batches_at_once_on_one_mailbox_are_throttled_by_item(world: World) -> None:
    world.service.faults.add(Fault(FaultKind.LATENCY, delay=0.1))
    both = await asyncio.gather(*[world.batch(*[creation(world, str(n)) for n in range(20)]) for _ in range(2)])
    items = [answer for answers in both for answer in answers.values()]
    throttled = [answer for answer in items if answer["status"] == 429]
    assert throttled
    assert all(int(answer["headers"]["Retry-After"]) > 0 for answer in throttled)
    assert len(world.tenant.contacts(world.user)) == 40 - len(throttled)
    assert world.service.counters.statuses[200] == 2


async def test_ten_thousand_requests_in_ten_minutes() -> None:
    world = World(Settings(requests_per_window=3))
    await world.sign_in()
    for _ in range(3):
        await world.get(f"{world.me}/contacts")
    world.clock.advance(timedelta(seconds=60))
    throttled = await world.client.get(f"{world.me}/contacts")
    assert throttled.status_code == 429
    assert int(throttled.headers["Retry-After"]) == pytest.approx(540, abs=1)
    world.clock.advance(timedelta(seconds=541))
    await world.get(f"{world.me}/contacts")


async def test_a_hundred_and_fifty_megabytes_of_photos_in_five_minutes() -> None:
    photo = drawn(1, 48)
    world = World(Settings(upload_per_window=2 * len(photo)))
    await world.sign_in()
    folder = await world.folder()
    made = await world.post(f"{world.me}/contactFolders/{folder}/contacts", {"givenName": "Kim"})
    path = f"{world.me}/contactFolders/{folder}/contacts/{made['id']}/photo/$value"
    headers = {"Content-Type": "image/jpeg"}
    in_batch = {"id": "1", "method": "PUT", "url": path, "headers": headers, "body": b64encode(photo).decode()}
    assert (await world.client.put(path, content=photo, headers=headers)).status_code == 200
    assert (await world.batch(in_batch))["1"]["status"] == 200
    world.clock.advance(timedelta(seconds=60))
    throttled = (await world.batch(in_batch))["1"]
    assert throttled["status"] == 429
    assert int(throttled["headers"]["Retry-After"]) == pytest.approx(240, abs=1)
    world.clock.advance(timedelta(seconds=241))
    assert (await world.batch(in_batch))["1"]["status"] == 200


async def test_no_request_is_larger_than_four_megabytes(world: World) -> None:
    notes = {"personalNotes": "x" * 4 * 1024 * 1024}
    refused(await world.client.post(f"{world.me}/contacts", json=notes), 413, "RequestEntityTooLarge")


async def test_everything_is_counted(world: World) -> None:
    world.service.counters.reset()
    await world.batch(creation(world, "1"), creation(world, "2"), item("3", "GET", f"/users/{world.people[1]}/contacts"))
    await world.get("/users?$top=1")
    counted = world.service.counters
    assert (counted.http_calls, counted.batches, counted.requests) == (2, 1, 4)
    assert counted.templates == {"POST /users/{id}/contacts": 2, "GET /users/{id}/contacts": 1, "GET /users": 1}
    assert counted.mailboxes == {world.user: 2, world.people[1]: 1}
    assert counted.mailbox_calls == {world.user: 1, world.people[1]: 1}
    assert counted.statuses == {200: 3, 201: 2}
    assert counted.violations == []
