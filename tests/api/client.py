"""Calls the API in this process, as a caller whom the sign-in has let in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import azure.functions as func
import pytest

import api.serving
from api import surface
from api.endpoint import Endpoint
from api.principal import Principal, Role
from api.signin.errors import not_signed_in
from sync_core.engine.context import Context
from tests.engine.world import TENANT

OBJECT_ID = "aaaaaaaa-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.json["code"])


@dataclass(frozen=True, slots=True)
class Client:
    """A caller of a tenant with roles; `context` are the services that answer."""

    monkeypatch: pytest.MonkeyPatch
    context: Context
    tenant: str = TENANT
    home: str = ""
    roles: Iterable[Role] = (Role.ADMIN,)
    is_app: bool = False
    object_id: str = OBJECT_ID
    signed_in: bool = True
    endpoints: Callable[[], Iterable[Endpoint]] = field(default=surface.endpoints)

    async def __call__(
        self, method: str, address: str, body: object = None, *, kind: str = "application/json", **headers: str
    ) -> Answer:
        """Send a request below /api/. A body that is no bytes is sent as JSON; header names may have _ for -."""

        async def authenticate(*_: object, **__: object) -> Principal:
            if not self.signed_in:
                raise not_signed_in()
            return Principal(self.tenant, self.home or self.tenant, self.object_id, frozenset(self.roles), self.is_app)

        self.monkeypatch.setattr(api.serving, "context", lambda: self.context)
        self.monkeypatch.setattr(api.serving, "authenticate", authenticate)
        path, _, query = address.removeprefix("/api/").partition("?")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": kind} if raw else {}
        for endpoint in self.endpoints():
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", endpoint.route.replace(".", r"\.")), path)
            if match and endpoint.method == method:
                break
        else:
            raise AssertionError(f"there is no {method} {path}")
        request = func.HttpRequest(
            method=method,
            url=f"http://localhost/api/{path}",
            headers=sent | {name.replace("_", "-"): value for name, value in headers.items()},
            params=dict(parse_qsl(query, keep_blank_values=True)),
            route_params={name: unquote(value) for name, value in match.groupdict().items()},
            body=raw,
        )
        response = await api.serving.serve(endpoint, request)
        return Answer(
            response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.get_body()
        )
