"""The worked examples: what they ask of a CRM, and what they hand to the push source."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import requests
import urllib3
from hubspot import HubSpot as HubSpotClient
from simple_salesforce.api import Salesforce as SalesforceClient

from examples.dynamics import Dynamics
from examples.hubspot_contacts import HubSpot
from examples.push import Crm, CursorExpiredError, Person, RefusedError, Source, feed
from examples.salesforce import Salesforce
from sync_core.definition import parse
from sync_core.sources.push import PushedItem
from tests.architecture.imports import ROOT
from tests.examples import answers

NOW = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
PAULA = {
    "displayName": "Paula Partner",
    "givenName": "Paula",
    "surname": "Partner",
    "companyName": "Partner AG",
    "jobTitle": "CEO",
    "mail": "paula@partner.example",
    "mobilePhone": "+49 151 23456789",
    "businessPhones": ["(030) 1234567"],
    "streetAddress": "Hauptstr. 1",
    "city": "Berlin",
    "postalCode": "10115",
    "country": "Germany",
}


class Rollcall:
    """The HTTP face of a push source: keeps what it is given, and takes nothing that the real one would not take."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.calls: list[str] = []
        self.busy = 0

    def source(self) -> Source:
        client = httpx.Client(transport=httpx.MockTransport(self._answer))
        return Source(client, lambda: "token", "https://rollcall.example/api/", "crm")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.busy:
            self.busy -= 1
            return httpx.Response(429, headers={"Retry-After": "0"})
        assert request.headers["authorization"] == "Bearer token"
        match = re.fullmatch(r"/api/sources/crm/items(?:/(.+))?", request.url.path)
        assert match
        self.calls.append(f"{request.method} {match[1] or 'all'}")
        body = json.loads(request.content) if request.content else {}
        if not match[1]:
            self.items = {item["id"]: self._taken(item) for item in body["items"]}
        elif request.method == "DELETE":
            self.items.pop(match[1], None)
        elif body.get("displayName") == "Refused":
            return httpx.Response(400, json={"errors": [{"field": "displayName"}]})
        else:
            self.items[match[1]] = self._taken({"id": match[1], **body})
        return httpx.Response(200, json={})

    @staticmethod
    def _taken(item: dict[str, Any]) -> dict[str, Any]:
        parse(PushedItem, item)
        return {name: value for name, value in item.items() if name != "id"}


# --- pushing ---------------------------------------------------------------------------------------------------------------


class FakeCrm:
    def __init__(self) -> None:
        self.people: dict[str, Person] = {"1": {"displayName": "Ann"}, "2": {"displayName": "Ben"}}
        self.told: dict[str, Person | None] = {}
        self.expired = False

    def everybody(self) -> tuple[dict[str, Person], str]:
        return self.people, "first"

    def changes(self, cursor: str) -> tuple[dict[str, Person | None], str]:
        if self.expired:
            raise CursorExpiredError
        assert cursor in ("first", "next")
        return self.told, "next"


def test_everybody_first_then_changes_and_everybody_again_after_a_week(tmp_path: Path) -> None:
    rollcall, crm, state = Rollcall(), FakeCrm(), tmp_path / "state.json"
    feed(crm, rollcall.source(), state, NOW)
    crm.told = {"2": None, "a/b c": {"displayName": "Cleo"}}
    feed(crm, rollcall.source(), state, NOW + timedelta(days=1))
    assert rollcall.calls == ["PUT all", "DELETE 2", "PUT a/b c"]
    assert rollcall.items == {"1": {"displayName": "Ann"}, "a/b c": {"displayName": "Cleo"}}
    feed(crm, rollcall.source(), state, NOW + timedelta(days=7))
    assert rollcall.items.keys() == {"1", "2"}
    assert "Ann" not in state.read_text()


def test_a_cursor_that_has_expired_costs_a_full_reading(tmp_path: Path) -> None:
    rollcall, crm, state = Rollcall(), FakeCrm(), tmp_path / "state.json"
    feed(crm, rollcall.source(), state, NOW)
    crm.expired = True
    feed(crm, rollcall.source(), state, NOW + timedelta(days=1))
    assert rollcall.calls == ["PUT all", "PUT all"]


def test_what_breaks_off_is_done_once_more(tmp_path: Path) -> None:
    rollcall, crm, state = Rollcall(), FakeCrm(), tmp_path / "state.json"
    feed(crm, rollcall.source(), state, NOW)
    crm.told = {"3": {"displayName": "Dora"}, "4": {"displayName": "Refused"}}
    before = state.read_text()
    with pytest.raises(RefusedError, match="displayName"):
        feed(crm, rollcall.source(), state, NOW + timedelta(days=1))
    assert state.read_text() == before
    crm.told["4"] = {"displayName": "Emil"}
    feed(crm, rollcall.source(), state, NOW + timedelta(days=1))
    assert rollcall.items.keys() == {"1", "2", "3", "4"}


def test_it_waits_when_it_is_told_to(tmp_path: Path) -> None:
    rollcall = Rollcall()
    rollcall.busy = 3
    feed(FakeCrm(), rollcall.source(), tmp_path / "state.json", NOW)
    assert rollcall.items.keys() == {"1", "2"}


# --- the CRMs ----------------------------------------------------------------------------------------------------------------


def _salesforce(pages: list[dict[str, Any]], asked: list[str]) -> Crm:
    class Recorded(requests.adapters.BaseAdapter):
        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
            asked.append(str(request.url))
            response = requests.Response()
            response.status_code, response.url, response.request = 200, str(request.url), request
            response._content = json.dumps(pages.pop(0)).encode()
            return response

        def close(self) -> None:
            return None

    session = requests.Session()
    session.mount("https://", Recorded())
    client = SalesforceClient(instance_url="https://example.my.salesforce.com", session_id="x", session=session)
    return Salesforce(client.query_all_iter, lambda: NOW)


def test_salesforce() -> None:
    asked: list[str] = []
    full = {"totalSize": 2, "done": False, "nextRecordsUrl": "/services/data/v59.0/query/01g-2000"}
    rest = {"totalSize": 2, "done": True}
    crm = _salesforce(
        [
            {**full, "records": [answers.salesforce("0035g00000AbCdE")]},
            {**rest, "records": [answers.salesforce("0035g00000aBcDe", account=None, Email="none")]},
            {**rest, "records": [answers.salesforce("0035g00000AbCdE", deleted=True), answers.salesforce("003new", Title="CTO")]},
        ],
        asked,
    )
    people, cursor = crm.everybody()
    without = {name: value for name, value in PAULA.items() if name not in ("companyName", "mail")}
    assert people == {"0035g00000AbCdE": PAULA, "0035g00000aBcDe": without}
    changes, following = crm.changes(cursor)
    assert changes == {"0035g00000AbCdE": None, "003new": {**PAULA, "jobTitle": "CTO"}}
    assert (cursor, following) == ("2026-11-02T00:50:00Z", "2026-11-02T00:50:00Z")
    assert asked[1].endswith("/query/01g-2000")
    assert "/queryAll/" in asked[2]
    assert "SystemModstamp" in asked[2]
    assert "SystemModstamp" not in asked[0]


def _hubspot(reply: Callable[[str, str, Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Crm:
    def request(_pool: object, method: str, url: str, **options: Any) -> urllib3.HTTPResponse:
        body = json.loads(options["body"]) if options.get("body") else None
        url = f"{url}?{urlencode(options.get('fields') or ())}"
        answer = json.dumps(reply(method, url, body)).encode()
        return urllib3.HTTPResponse(answer, {"Content-Type": "application/json"}, status=200, preload_content=True)

    monkeypatch.setattr(urllib3.PoolManager, "request", request)
    return HubSpot(HubSpotClient(access_token="x").crm.contacts, lambda: NOW)


def test_hubspot(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def reply(method: str, url: str, body: Any) -> dict[str, Any]:
        asked.append(f"{method} {url}")
        if url.partition("?")[0].endswith("/search"):
            (only,) = body["filterGroups"][0]["filters"]
            assert only == {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1793580600000"}
            first = "after" not in body
            changed = answers.hubspot("51" if first else "52", jobtitle="CTO")
            return answers.hubspot_page(changed, after="1" if first else None, total=2)
        if "archived=True" in url or "archived=true" in url:
            recent = answers.hubspot("2", archived_at="2026-11-02T00:55:00.000Z")
            return answers.hubspot_page(recent, answers.hubspot("3", archived_at="2026-09-01T00:00:00.000Z"))
        if "after=" in url:
            return answers.hubspot_page(answers.hubspot("2", firstname=None, lastname=None, email="none"))
        return answers.hubspot_page(answers.hubspot("1"), after="1")

    crm = _hubspot(reply, monkeypatch)
    people, cursor = crm.everybody()
    nameless = {name: value for name, value in PAULA.items() if name not in ("givenName", "surname", "mail")}
    assert people == {"1": PAULA, "2": {**nameless, "displayName": "Partner AG"}}
    changes, _ = crm.changes(cursor)
    changed = {**PAULA, "jobTitle": "CTO"}
    assert changes == {"2": None, "51": changed, "52": changed}
    assert "firstname" in asked[0]


def test_hubspot_reads_everybody_when_more_has_changed_than_a_search_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    crm = _hubspot(lambda *_: answers.hubspot_page(total=10_001), monkeypatch)
    with pytest.raises(CursorExpiredError):
        crm.changes("2026-11-01T00:50:00Z")


def _dynamics(pages: dict[str, dict[str, Any]], asked: list[httpx.Request]) -> Crm:
    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = next((page for part, page in pages.items() if part in str(request.url)), None)
        return (
            httpx.Response(200, json=found) if found is not None else httpx.Response(400, json={"error": {"code": "0x80060888"}})
        )

    return Dynamics(httpx.Client(transport=httpx.MockTransport(reply)), lambda: "token", answers.ORG)


def test_dynamics() -> None:
    link = f"{answers.ORG}/api/data/v9.2/contacts?$select=fullname"
    asked: list[httpx.Request] = []
    pages = {
        "deltatoken=one": {
            "value": [
                answers.dataverse("22", statecode=1),
                answers.dataverse("33", jobtitle="CTO"),
                answers.dataverse_gone("11"),
            ],
            "@odata.deltaLink": f"{link}&$deltatoken=two",
        },
        "skiptoken": {"value": [answers.dataverse("22", emailaddress1=None)], "@odata.deltaLink": f"{link}&$deltatoken=one"},
        "contacts?": {
            "value": [answers.dataverse("11"), answers.dataverse("44", statecode=1)],
            "@odata.nextLink": f"{link}&$skiptoken=x",
        },
    }
    crm = _dynamics(
        {**{part: pages[part] for part in ("deltatoken=one", "skiptoken")}, "select=contactid": pages["contacts?"]}, asked
    )
    people, cursor = crm.everybody()
    assert people == {"11": PAULA, "22": {name: value for name, value in PAULA.items() if name != "mail"}}
    changes, following = crm.changes(cursor)
    assert changes == {"22": None, "33": {**PAULA, "jobTitle": "CTO"}, "11": None}
    assert following.endswith("deltatoken=two")
    assert all("odata.track-changes" in request.headers["prefer"] for request in asked)
    with pytest.raises(CursorExpiredError):
        crm.changes(following)  # an old token is a 400
    with pytest.raises(CursorExpiredError):
        crm.changes("https://elsewhere.example/")


# --- requirements ------------------------------------------------------------------------------------------------------------


def test_requirements_are_those_that_were_tested() -> None:
    tested = {line for name in ("requirements.txt", "requirements-dev.txt") for line in (ROOT / name).read_text().splitlines()}
    for file in sorted((ROOT / "examples").glob("requirements-*.txt")):
        assert set(file.read_text().split()) <= tested, file.name
        assert (ROOT / "examples" / f"{file.stem.removeprefix('requirements-')}.py").exists()
