"""A tenant behind an in-process transport, on a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from local.clock import VirtualClock
from local.m365.service import Microsoft365, Settings
from local.m365.tenant import App, Tenant
from local.m365.transport import Microsoft365Transport

TENANT = "11111111-1111-1111-1111-111111111111"
APP = "22222222-2222-2222-2222-222222222222"
SECRET = "s3cret"
KEY = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name TestKey"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@dataclass
class World:
    """The stand-in, one tenant in it, and a client of its app."""

    settings: Settings = field(default_factory=lambda: Settings(directory_delta_page=3, members_page=2))

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.service = Microsoft365(self.clock, settings=self.settings)
        self.tenant: Tenant = self.service.add_tenant(TENANT, "Contoso", App(APP, SECRET))
        self.people = [
            self.tenant.add_user(
                {"userPrincipalName": f"p{n}@contoso.example", "displayName": f"Person {n}", "mobilePhone": f"0{n}"}
            )
            for n in range(5)
        ]
        self.client = self.open()

    @property
    def user(self) -> str:
        """The person most tests are about."""
        return self.people[0]

    @property
    def me(self) -> str:
        """That person's path."""
        return f"/users/{self.user}"

    def open(self) -> httpx.AsyncClient:
        """A client without token."""
        return httpx.AsyncClient(transport=Microsoft365Transport(self.service), base_url="https://graph.microsoft.com/v1.0")

    async def sign_in(self, client: httpx.AsyncClient | None = None) -> None:
        """Get a token and send it from now on."""
        answer = await self.ask_for_token()
        assert answer.status_code == 200, answer.text
        (client or self.client).headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def ask_for_token(self, **changed: str) -> httpx.Response:
        """Call the token endpoint."""
        form = {
            "grant_type": "client_credentials",
            "client_id": APP,
            "client_secret": SECRET,
            "scope": "https://graph.microsoft.com/.default",
        } | changed
        return await self.client.post(f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token", data=form)

    async def get(self, path: str, **options: Any) -> Any:
        """GET something that must be there."""
        answer = await self.client.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any, **options: Any) -> Any:
        """POST something that must be taken."""
        answer = await self.client.post(path, json=body, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def pages(self, link: str, **options: Any) -> tuple[list[list[dict[str, Any]]], str]:
        """All pages of a delta round, and its delta link."""
        pages = []
        while True:
            page = await self.get(link, **options)
            assert ("@odata.nextLink" in page) is not ("@odata.deltaLink" in page)
            pages.append(page["value"])
            if "@odata.deltaLink" in page:
                return pages, page["@odata.deltaLink"]
            link = page["@odata.nextLink"]

    async def changes(self, link: str, **options: Any) -> tuple[list[dict[str, Any]], str]:
        """All objects of a delta round, and its delta link."""
        pages, delta = await self.pages(link, **options)
        return [item for page in pages for item in page], delta

    async def batch(self, *requests: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """A batch that must be accepted; its answers by id."""
        answer = await self.post("/$batch", {"requests": list(requests)})
        return {item["id"]: item for item in answer["responses"]}

    async def folder(self, name: str = "Ours") -> str:
        """A new folder's id."""
        return str((await self.post(f"{self.me}/contactFolders", {"displayName": name}))["id"])


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check an error's status and code, and that it has Graph's shape."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]
    return error


def item(key: str, method: str, url: str, body: Any = None, **more: Any) -> dict[str, Any]:
    """A request of a batch."""
    request: dict[str, Any] = {"id": key, "method": method, "url": url, **more}
    if body is not None:
        request |= {"body": body, "headers": {"Content-Type": "application/json", **more.get("headers", {})}}
    return request


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world with a signed-in client."""
    world = World()
    await world.sign_in()
    yield world
    await world.client.aclose()
