"""What was asked of Microsoft 365 and how it answered, without anything of anybody: the shape of a conversation.

Of a path remain the words that Graph documents, of a query its options, of a body the names and types of what is in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson

WORDS = frozenset(
    {
        *("users", "groups", "contacts", "contactfolders", "childfolders", "delta", "permanentdelete", "organization", "photo"),
        *("photos", "$value", "transitivemembers", "calendars", "calendar", "events", "calendarview"),
    }
)
HEADERS = ("etag", "location", "preference-applied", "retry-after", "x-ms-resource-unit", "x-ms-throttle-limit-percentage")
_SIGN_IN = "/oauth2/v2.0/token"


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of exchange in one step. `sent` and `got` are shapes: paths of properties with their types."""

    step: str
    method: str
    path: str
    options: tuple[str, ...]
    status: int
    code: str
    sent: tuple[str, ...]
    got: tuple[str, ...]
    headers: tuple[str, ...]


@dataclass(slots=True)
class Transcript:
    """Exchanges, each kind once with how often it came."""

    step: str = ""
    entries: Counter[Entry] = field(default_factory=Counter)

    def note(self, method: str, url: str, sent: Any, status: int, got: Any, headers: Mapping[str, str]) -> None:
        """Add an exchange, or one item of a batch."""
        path, _, query = url.partition("?")
        options = tuple(sorted(name if name.startswith("$") else "token" for name, _ in parse_qsl(query)))
        error = got.get("error") if isinstance(got, dict) else None
        code = str(error.get("code", "")) if isinstance(error, dict) else ""
        present = tuple(name for name in HEADERS if name in {key.lower() for key in headers})
        known = Entry(self.step, method, _template(path), options, status, code, shape(sent), shape(got), present)
        self.entries[known] += 1

    def save(self, file: Path) -> None:
        """Write one JSON line for each kind of exchange."""
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            orjson.dumps({**{name: getattr(entry, name) for name in Entry.__slots__}, "times": times}) for entry, times in self
        ]
        file.write_bytes(b"".join(line + b"\n" for line in lines))

    def __iter__(self) -> Any:
        """The kinds with how often each came, in the order in which they first came."""
        return iter(self.entries.items())


def load(file: Path) -> Transcript:
    """Read what `save` wrote."""
    transcript = Transcript()
    for line in file.read_bytes().splitlines():
        values: dict[str, Any] = orjson.loads(line)
        times = values.pop("times")
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        entry = Entry(**plain)
        transcript.entries[entry] = times
    return transcript


def differences(real: Transcript, ours: Transcript) -> list[str]:
    """Where the stand-in answers otherwise than the real service did, in words.

    Compared are the ways a request was answered in each step, and what a good answer holds. How often, and in which batches, may
    differ: that hangs on the size of the tenant and on time.
    """
    found: list[str] = []
    theirs, mine = _by_request(real), _by_request(ours)
    for request in sorted(theirs.keys() | mine.keys()):
        said, says = theirs.get(request), mine.get(request)
        if said is None or says is None:
            found.append(f"{request}: only {'the stand-in' if said is None else 'the real service'} was asked this")
            continue
        if said.keys() != says.keys():
            found.append(f"{request}: answered {sorted(said)} by the real service, {sorted(says)} by the stand-in")
        for answer in sorted(said.keys() & says.keys()):
            more, less = sorted(says[answer] - said[answer]), sorted(said[answer] - says[answer])
            found += [f"{request} {answer}: only the stand-in sends {name}" for name in more]
            found += [f"{request} {answer}: only the real service sends {name}" for name in less]
    return found


def _by_request(transcript: Transcript) -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = {}
    for entry, _ in transcript:
        answers = found.setdefault(f"{entry.step}: {entry.method} {entry.path}", {})
        answers.setdefault(f"{entry.status} {entry.code}".strip(), set()).update(entry.got)
    return found


def shape(value: Any, place: str = "") -> tuple[str, ...]:
    """The paths of all properties of a JSON value with their types; the items of a list count as one."""
    return tuple(sorted(set(_shape(value, place))))


def _shape(value: Any, place: str) -> Iterable[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _shape(inner, f"{place}.{name}" if place else str(name))
        case list():
            for inner in value:
                yield from _shape(inner, f"{place}[]")
        case None:
            return  # what is empty for one is filled for another
        case bool():
            yield f"{place}: truth"
        case int() | float():
            yield f"{place}: number"
        case str():
            yield f"{place}: text"


def _template(path: str) -> str:
    parts = path.strip("/").split("/")
    if parts[:1] == ["v1.0"]:
        parts = parts[1:]
    named = (part.lower().removesuffix("()").removeprefix("microsoft.graph.") for part in parts)
    words = [
        name if name in WORDS else f"microsoft.graph.{name}" if f"microsoft.graph.{name}" in WORDS else "{id}" for name in named
    ]
    return "/" + "/".join(words)


class Recorder(httpx.AsyncBaseTransport):
    """A transport that notes what goes over another one. What goes to the token endpoint is not looked into."""

    def __init__(self, inner: httpx.AsyncBaseTransport, transcript: Transcript) -> None:
        self._inner = inner
        self._transcript = transcript

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, and note it with its answer."""
        sent = _json(await request.aread())
        response = await self._inner.handle_async_request(request)
        content = await response.aread()
        target = request.url.raw_path.decode("ascii")
        if target.partition("?")[0].endswith(_SIGN_IN):
            return response
        got = _json(content)
        if target.endswith("/$batch") and isinstance(sent, dict) and isinstance(got, dict):
            answers = {answer["id"]: answer for answer in got.get("responses", [])}
            for item in sent["requests"]:
                answer = answers.get(item["id"], {})
                headers = answer.get("headers") or {}
                self._transcript.note(
                    item["method"], item["url"], item.get("body"), answer.get("status", 0), answer.get("body"), headers
                )
        else:
            self._transcript.note(request.method, target, sent, response.status_code, got, response.headers)
        return response

    async def aclose(self) -> None:
        """Close the other one."""
        await self._inner.aclose()


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except ValueError:
        return None
