"""JSON batching (graph/json-batching)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from local.m365.call import Caller
from local.m365.wire import GraphError, Reply, Request, read_json

if TYPE_CHECKING:
    from local.m365.service import Microsoft365

MOST = 20
LARGEST = 4 * 1024 * 1024
OUTLOOK_WIDTH = 4  # graph/throttling-limits: at most 4 Outlook requests of one batch at a time, whatever the mailboxes
METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch."""

    id: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    after: tuple[str, ...]


def read(body: bytes) -> list[Item]:
    """Check a batch. Raises GraphError 400: the whole batch is refused."""
    payload = read_json(body)
    entries = payload.get("requests") if isinstance(payload, dict) else None
    if not isinstance(entries, list) or not entries:
        raise _bad("Invalid batch payload format.")
    if len(entries) > MOST:
        raise _bad(f"Number of batch request steps exceeds the maximum value of {MOST}.")
    items: list[Item] = []
    seen: set[str] = set()
    for entry in entries:
        item = _read_item(entry)
        if item.id.casefold() in seen:
            raise _bad(f"Request id : {item.id} is not unique in the batch request.")
        for earlier in item.after:
            if earlier.casefold() not in seen:
                raise _bad(f"Write request id : {item.id} depends on '{earlier}', which does not precede it.")
        seen.add(item.id.casefold())
        items.append(item)
    _check_pattern(items)
    return items


def _read_item(entry: Any) -> Item:
    if not isinstance(entry, dict):
        raise _bad("Invalid batch payload format.")
    key, method, url = entry.get("id"), entry.get("method"), entry.get("url")
    if not isinstance(key, str) or not key:
        raise _bad("Missing or invalid request id in the batch request.")
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise _bad(f"Request id : {key} has a missing or invalid method.")
    if not isinstance(url, str) or not url or "://" in url.partition("?")[0]:
        raise _bad(f"Request id : {key} must have a url relative to the service root.")
    headers = entry.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise _bad(f"Request id : {key} has invalid headers.")
    lower = {name.lower(): value for name, value in headers.items()}
    body = entry.get("body")
    if body is not None and "content-type" not in lower:
        raise _bad(f"Write request id : {key} does not contain Content-Type header or body.")
    if unknown := set(entry) - {"id", "method", "url", "headers", "body", "dependsOn"}:
        raise _bad(f"Request id : {key} has unknown properties: {', '.join(sorted(unknown))}.")
    after = entry.get("dependsOn") or []
    if not isinstance(after, list) or not all(isinstance(name, str) for name in after):
        raise _bad(f"Request id : {key} has an invalid dependsOn.")
    return Item(key, method.upper(), url if url.startswith("/") else f"/{url}", lower, body, tuple(after))


def _check_pattern(items: list[Item]) -> None:
    """A batch is parallel (no dependsOn), serial (each depends on the one before) or hangs on one request."""
    dependent = [item for item in items if item.after]
    if not dependent:
        return
    serial = all(item.after == (items[index].id,) for index, item in enumerate(items[1:])) and not items[0].after
    same = len({item.after for item in dependent}) == 1 and len(dependent[0].after) == 1
    if not serial and not same:
        raise _bad("The dependsOn of a batch must be serial, or all name the same request.")


async def serve(service: Microsoft365, request: Request, caller: Caller, shuffle: Random, number: int) -> Reply:
    """Carry a batch out. The answer is 200 whatever became of the items, and they come in any order."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _bad("The Content-Type of a batch must be application/json.")
    items = read(request.body)
    replies: dict[str, Reply] = {}
    outlook = asyncio.Semaphore(OUTLOOK_WIDTH)
    mailboxes: set[str] = set()

    async def run(item: Item) -> None:
        failed = next((name for name in item.after if replies[name.casefold()].status >= 400), None)
        if failed is not None:
            error = GraphError(
                424, "FailedDependency", f"The request failed because the request '{failed}' it depends on failed."
            )
            replies[item.id.casefold()] = error.reply()
            return
        reply = await service.serve_item(item, request, caller, outlook, number, mailboxes)
        replies[item.id.casefold()] = reply

    if items[-1].after and items[-1].after == (items[-2].id,):
        for item in items:
            await run(item)
    else:
        for wave in ([item for item in items if not item.after], [item for item in items if item.after]):
            await asyncio.gather(*(run(item) for item in wave))
    service.counters.mailbox_calls.update(mailboxes)
    answers = [_answer(item, replies[item.id.casefold()]) for item in items]
    shuffle.shuffle(answers)
    return Reply(200, {"responses": answers})


def _answer(item: Item, reply: Reply) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": item.id, "status": reply.status}
    headers = dict(reply.headers)
    if reply.content is not None:
        headers.setdefault("Content-Type", "application/json")
        answer["body"] = reply.content
    if headers:
        answer["headers"] = headers
    return answer


def _bad(message: str) -> GraphError:
    return GraphError(400, "BadRequest", message)
