"""A Graph that answers at once and thinks little, for measuring what talks to it: `python -m benchmarks.canned`.

Every write succeeds, every folder is empty. Bodies are as large as Graph's own and ids are unique. /statistics tells what it
takes itself, /record does the same and records from then on, /change gives the first user another title.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import re
import time
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from benchmarks.people import directory
from local.processes import exit_with_parent

_PAGE = 999
_FOLDER_ID = "AAMkADNhNjQ0YjM3LTFjZmQtNGEzZS1iZDk5LTg2ZDhkMTVjMmJiNAAuAAAAAAC%08dQAAAA="
_ITEM_ID = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0ALtHjcNplPUOJ2bHaqYkHgAAC%08dAAAAQCmR3Sx1k4T6%%2Bb3c5yQwYVAAA="


def _contact() -> bytes:
    empty = ("birthday", "fileAs", "initials", "middleName", "nickName", "title", "yomiGivenName", "yomiSurname", "generation")
    more = ("yomiCompanyName", "businessHomePage", "assistantName", "manager", "profession", "spouseName", "personalNotes")
    body = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('00000000-0000-0000-0000-000000000000')/contacts/$entity",
        "@odata.etag": 'W/"EQAAABYAAABPBBpfLn8XS5FlJ3lq0pVtAAAAdM3x"',
        "createdDateTime": "2026-11-02T01:00:00Z",
        "lastModifiedDateTime": "2026-11-02T01:00:01Z",
        "changeKey": "EQAAABYAAABPBBpfLn8XS5FlJ3lq0pVtAAAAdM3x",
        "categories": [],
        "parentFolderId": _FOLDER_ID % 1,
        **dict.fromkeys(empty + more),
        "displayName": "Anna Müller",
        "givenName": "Anna",
        "surname": "Müller",
        "imAddresses": [],
        "jobTitle": "Specialist 12",
        "companyName": "Example Group",
        "department": "Human Resources",
        "officeLocation": "DE-4.12",
        "businessPhones": ["+493023125123"],
        "homePhones": [],
        "mobilePhone": "+4915123500123",
        "children": [],
        "emailAddresses": [{"name": "Anna Müller", "address": f"person{n}@example.com"} for n in range(2)],
        "homeAddress": {},
        "businessAddress": {
            "street": "Invalidenstraße 10",
            "city": "Berlin",
            "countryOrRegion": "Germany",
            "postalCode": "10115",
        },
        "otherAddress": {},
    }
    return orjson.dumps(body)[1:]


_CONTACT = _contact()
_HEADERS = b'"headers":{"Content-Type":"application/json"}'
_CREATED = b'{"id":"%b","status":201,' + _HEADERS + b',"body":{"id":"%b",'
_CHANGED = b'{"id":"%b","status":200,' + _HEADERS + b',"body":{"id":"%b",'
_EMPTY = b'{"id":"%b","status":200,' + _HEADERS + b',"body":{"value":[]%b}}'
_GONE = b'{"id":"%b","status":204,"headers":{}}'


class Canned:
    """What the server knows: a directory, and how many ids it has given away."""

    def __init__(self, people: int, mailboxes: int, record: Path | None) -> None:
        self.base = ""
        self.calls = self.requests = 0
        self._file = record
        self._record: BinaryIO | None = None
        self._numbers = count(1)
        users = [orjson.dumps(user) for user in directory(people, mailboxes)]
        self._first = users[0]
        self._changes: list[bytes] = []
        self._pages = [b",".join(users[at : at + _PAGE]) for at in range(0, len(users), _PAGE)]

    def answer(self, path: bytes, body: bytes) -> bytes:
        """The body of an answer."""
        if path == b"/v1.0/$batch":
            return self._batch(body)
        if path.startswith(b"/v1.0/users/delta"):
            return self._users(path)
        if path == b"/change":
            title = b'"jobTitle":"Chief %d"' % len(self._changes)
            self._changes.append(re.sub(rb'"jobTitle":"[^"]*"', title, self._first))
            return b"{}"
        if path == b"/record" and self._file:
            self._record = self._file.open("wb")
        if path in (b"/statistics", b"/record"):
            return orjson.dumps({"cpuSeconds": time.process_time(), "batches": self.calls, "requests": self.requests})
        return self._identity(path)

    def _batch(self, body: bytes) -> bytes:
        self.calls += 1
        if self._record:
            self._record.write(len(body).to_bytes(4, "big") + body)
            self._record.flush()
        parts = []
        for request in orjson.loads(body)["requests"]:
            self.requests += 1
            parts.append(self._item(request["id"].encode(), request["method"], request["url"]))
        return b'{"responses":[' + b",".join(parts) + b"]}"

    def _item(self, key: bytes, method: str, url: str) -> bytes:
        if method == "POST":
            if url.endswith("/contacts"):
                return _CREATED % (key, (_ITEM_ID % next(self._numbers)).encode()) + _CONTACT + b"}"
            if url.endswith("/contactFolders"):
                folder = b'"displayName":"Colleagues","parentFolderId":"%b","childFolderCount":0}}' % (_FOLDER_ID % 0).encode()
                return _CREATED % (key, (_FOLDER_ID % next(self._numbers)).encode()) + folder
            return _GONE % key
        if method == "PATCH":
            return _CHANGED % (key, url.rpartition("/")[2].encode()) + _CONTACT + b"}"
        if "/delta" in url:
            link = f"{self.base}/v1.0{url.partition('?')[0]}?$deltatoken=abc"
            return _EMPTY % (key, b',"@odata.deltaLink":"%b"' % link.encode())
        return _EMPTY % (key, b"")

    def _users(self, path: bytes) -> bytes:
        kind, _, value = path.partition(b"?$")[2].partition(b"=")
        number = int(value) if kind != b"select" else 0
        if kind == b"deltatoken":
            page, last = b",".join(self._changes[number:]), True
        else:
            page, last = self._pages[number], number + 1 == len(self._pages)
        link = b"deltaLink" if last else b"nextLink"
        query = b"$deltatoken=%d" % len(self._changes) if last else b"$skiptoken=%d" % (number + 1)
        return b'{"value":[%b],"@odata.%b":"%b/v1.0/users/delta?%b"}' % (page, link, self.base.encode(), query)

    def _identity(self, path: bytes) -> bytes:
        if path.endswith(b"/token"):
            token = base64.urlsafe_b64encode(b"t" * 900).decode()
            return orjson.dumps({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})
        root = self.base + "/" + path.decode().strip("/").partition("/")[0]
        metadata: dict[str, Any] = {
            "issuer": f"{root}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
        }
        return orjson.dumps(metadata)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 as far as our own clients speak it."""

    def __init__(self, service: Canned, latency: float) -> None:
        self._service = service
        self._latency = latency
        self._buffer = bytearray()
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) < self._missing:
            return
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            at = head.lower().find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].partition(b"\r\n")[0]) if at >= 0 else 0
            self._missing = end + 4 + length
            if len(self._buffer) < self._missing:
                return
            body = bytes(self._buffer[end + 4 : self._missing])
            del self._buffer[: self._missing]
            self._missing = 0
            _, path, _ = head.partition(b"\r\n")[0].split(b" ")
            answer = self._service.answer(path, body)
            assert isinstance(self._transport, asyncio.Transport)
            whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
            if self._latency and path.endswith(b"/$batch"):
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, whole)
            else:
                self._transport.write(whole)


async def _serve(options: argparse.Namespace) -> None:
    service = Canned(options.people, options.mailboxes, options.record)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(service, options.latency), "127.0.0.1", 0)
    service.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(f"listening at {service.base}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.canned", description="A Graph that answers at once.")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--mailboxes", type=int, default=20)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds from a batch to its answer")
    parser.add_argument("--record", type=Path, help="where to record batches, each after its length in 4 bytes")
    options = parser.parse_args()
    exit_with_parent()
    asyncio.run(_serve(options))


if __name__ == "__main__":
    main()
