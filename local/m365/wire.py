"""Requests and responses, free of any HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson

GRAPH = "https://graph.microsoft.com"
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Request:
    """An HTTP request. `path` is still encoded and holds the query; header names are lower-case; `base` is scheme and host."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = GRAPH


@dataclass(slots=True)
class Response:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Reply:
    """What a handler answers, before it becomes an HTTP response or an item of a batch."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The reply as an HTTP response."""
        if self.content is None:
            return Response(self.status, self.headers)
        if isinstance(self.content, bytes):
            return Response(self.status, self.headers, self.content)
        return Response(self.status, {**JSON, **self.headers}, orjson.dumps(self.content))


class GraphError(Exception):
    """A request that Graph answers with an error (graph/errors)."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def reply(self, request_id: str = "") -> Reply:
        """The error in Graph's shape."""
        inner = {"request-id": request_id, "client-request-id": request_id}
        content = {"error": {"code": self.code, "message": self.message, "innerError": inner}}
        return Reply(self.status, content, dict(self.headers))


class ConnectionDropped(Exception):  # noqa: N818 - not an error of the service but an event on the wire
    """The connection ends without an answer. `executed` tells whether the request was carried out."""

    def __init__(self, *, executed: bool) -> None:
        super().__init__("the connection was dropped")
        self.executed = executed


@dataclass(frozen=True, slots=True)
class Prefer:
    """What the Prefer header asks for."""

    immutable_ids: bool = False
    max_page: int | None = None
    minimal: bool = False
    time_zone: str = ""
    text_bodies: bool = False


@lru_cache(maxsize=256)
def prefer(header: str) -> Prefer:
    """Read a Prefer header.

    graph/outlook-immutable-id, graph/delta-query-overview, graph/api/contact-delta, graph/api/event-get.
    """
    immutable = minimal = text_bodies = False
    max_page = None
    time_zone = ""
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        value = value.strip().strip('"')
        match name.strip().lower():
            case "idtype":
                immutable = value.lower() == "immutableid"
            case "odata.maxpagesize":
                if not value.isdigit() or int(value) == 0:
                    raise GraphError(400, "ErrorInvalidRequest", "The odata.maxpagesize preference is not valid.")
                max_page = int(value)
            case "return":
                minimal = value.lower() == "minimal"
            case "outlook.timezone":
                time_zone = value
            case "outlook.body-content-type":
                text_bodies = value.lower() == "text"
    return Prefer(immutable, max_page, minimal, time_zone, text_bodies)


def read_query(query: str) -> dict[str, str]:
    """The query options by lower-case name. Raises GraphError when one is given twice."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        key = name.lower()
        if key in options:
            raise GraphError(
                400, "BadRequest", f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        options[key] = value
    return options


def read_json(body: bytes) -> Any:
    """The parsed body. Raises GraphError as Graph does for a body it cannot read."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        message = (
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
        )
        raise GraphError(400, "BadRequest", message) from None
