"""Reading the directory by delta."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.clock import VirtualClock
from local.m365.delta import Expiry
from local.m365.faults import Fault, FaultKind
from sync_core.directory import SELECT
from sync_core.errors import DeltaExpiredError, ParkedError, Reason, SourceError, TenantError, TransientError
from sync_core.model import SourcePage
from sync_core.ports import Directory
from tests.graph.canned import BASE, TENANT, Canned, open_graph
from tests.graph.conftest import World


async def read(directory: Directory, link: str | None = None) -> list[SourcePage]:
    return [page async for page in directory.users(link)]


def ids(pages: list[SourcePage]) -> set[str]:
    return {user["id"] for page in pages for user in page.changed}


def link_of(pages: list[SourcePage]) -> str:
    assert [page.delta_link is not None for page in pages] == [False] * (len(pages) - 1) + [True]
    return pages[-1].delta_link or ""


async def test_all_users_then_what_changed(world: World) -> None:
    first = await read(world.directory())
    assert ids(first) == set(world.users)
    assert set(first[0].changed[0]) <= set(SELECT)
    world.tenant.change_user(world.users[0], {"mobilePhone": "+1"})
    world.tenant.remove_user(world.users[1])
    second = await read(world.directory(), link_of(first))
    assert ids(second) == {world.users[0]}
    assert [gone for page in second for gone in page.removed] == [world.users[1]]
    assert ids(await read(world.directory(), link_of(second))) == set()


async def test_pages_are_passed_on_as_they_come_and_counted(world: World) -> None:
    world.m365.settings.directory_delta_page = 10
    directory = world.directory()
    pages = directory.users(None)
    async for page in pages:
        assert len(page.changed) == 10
        assert directory.spent.requests == 1
        break
    assert len(await read(world.directory())) == 3
    nothing_changed = world.directory()
    await read(nothing_changed, link_of(await read(world.directory())))
    assert (nothing_changed.spent.requests, nothing_changed.spent.http_calls) == (1, 1)


@pytest.mark.parametrize("style", list(Expiry))
async def test_an_expired_link(world: World, style: Expiry) -> None:
    link = link_of(await read(world.directory()))
    expired = world.fault(Fault(FaultKind.TOKEN_EXPIRED, times=1, style=style))
    with pytest.raises(DeltaExpiredError):
        await read(world.directory(), link)
    assert expired.fired == 1


async def test_a_link_of_another_service_is_never_followed(world: World) -> None:
    for link in (
        "https://elsewhere.example/v1.0/users/delta?$deltatoken=x",
        "http://127.0.0.1:8@elsewhere.example/v1.0/users",
        "x",
    ):
        with pytest.raises(DeltaExpiredError):
            await read(world.directory(), link)
    assert world.m365.counters.http_calls == 0


async def test_throttling_and_server_errors_are_waited_out(world: World) -> None:
    world.fault(Fault(FaultKind.THROTTLED, times=2, retry_after=20))
    world.fault(Fault(FaultKind.ERROR, times=1, status=503))
    world.fault(Fault(FaultKind.DROPPED, times=1))
    world.fault(Fault(FaultKind.LOST, times=1))
    start = world.clock.now()
    directory = world.directory()
    assert ids(await read(directory)) == set(world.users)
    assert 41 < (world.clock.now() - start).total_seconds() < 48
    assert (directory.spent.requests, directory.spent.throttled) == (6, 2)


async def test_patience_ends(world: World) -> None:
    world.fault(Fault(FaultKind.THROTTLED, retry_after=300))
    with pytest.raises(ParkedError) as caught:
        await read(world.directory())
    assert caught.value.delay == 300
    world.m365.faults.clear()
    world.fault(Fault(FaultKind.DROPPED))
    with pytest.raises(TransientError):
        await read(world.directory())


async def test_consent_that_is_gone_stops_the_tenant(world: World) -> None:
    world.tenant.app.permissions = frozenset({"Contacts.ReadWrite"})
    with pytest.raises(TenantError) as caught:
        await read(world.directory())
    assert caught.value.reason is Reason.CONSENT_MISSING


def page(**values: Any) -> dict[str, Any]:
    return {"value": [], **values}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json=page()),
        httpx.Response(200, json=page(**{"@odata.nextLink": f"{BASE}/a", "@odata.deltaLink": f"{BASE}/b"})),
        httpx.Response(200, json=page(**{"@odata.nextLink": "https://elsewhere.example/v1.0/users/delta"})),
        httpx.Response(200, json=page(**{"@odata.deltaLink": "https://elsewhere.example/v1.0/users/delta"})),
        httpx.Response(200, json={"@odata.deltaLink": f"{BASE}/b"}),
        httpx.Response(200, json={"value": None, "@odata.deltaLink": f"{BASE}/b"}),
        httpx.Response(200, json={"value": [{"displayName": "nobody"}], "@odata.deltaLink": f"{BASE}/b"}),
        httpx.Response(200, json={"value": ["text"], "@odata.deltaLink": f"{BASE}/b"}),
        httpx.Response(200, content=b'{"value": [{"id": "1"}, {"id"'),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(400, json={"error": {"code": "Request_BadRequest"}}),
    ],
)
async def test_an_answer_that_is_not_complete_is_an_unreadable_source(answer: httpx.Response) -> None:
    canned = Canned(call=lambda _: httpx.Response(answer.status_code, content=answer.content))
    with pytest.raises(SourceError) as caught:
        await read(open_graph(canned, VirtualClock()).directory(TENANT))
    assert not isinstance(caught.value, DeltaExpiredError)
    assert len(canned.calls) == 1


async def test_a_page_that_links_to_itself_ends_the_reading() -> None:
    loop = f"{BASE}/users/delta?$skiptoken=x"
    canned = Canned(call=lambda _: httpx.Response(200, json=page(**{"@odata.nextLink": loop})))
    with pytest.raises(SourceError):
        await read(open_graph(canned, VirtualClock()).directory(TENANT))
    assert len(canned.calls) == 2


async def test_requests_say_what_they_want_and_who_asks() -> None:
    canned = Canned(call=lambda _: httpx.Response(200, json=page(**{"@odata.deltaLink": f"{BASE}/users/delta?$deltatoken=x"})))
    await read(open_graph(canned, VirtualClock()).directory(TENANT))
    (request,) = canned.calls
    assert str(request.url) == f"{BASE}/users/delta?$select={','.join(SELECT)}"
    assert request.headers["Prefer"] == 'IdType="ImmutableId"'
    assert request.headers["Authorization"] == "Bearer token 1"


async def test_microsoft_is_told_which_sdk_asks() -> None:
    base = "https://graph.microsoft.com/v1.0"
    canned = Canned(call=lambda _: httpx.Response(200, json=page(**{"@odata.deltaLink": f"{base}/users/delta?$deltatoken=x"})))
    await read(open_graph(canned, VirtualClock(), base_url=base).directory(TENANT))
    (request,) = canned.calls
    assert request.headers["SdkVersion"].startswith("graph-python/")
    assert request.headers["client-request-id"]
