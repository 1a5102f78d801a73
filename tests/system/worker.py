"""Plays the Functions host to Microsoft's own Python worker runtime, in this process.

The runtime indexes the app's folder and converts bindings exactly as in Azure. What the host would send is built here in the
shapes that the host sends: https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from azure_functions_runtime import functions_metadata_request, worker_init_request
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

import function_app


class InvocationError(Exception):
    """The function failed; the host would try again. Holds what the worker reports."""


class _BindingInfo(SimpleNamespace):
    out, inout = 1, 2  # azure.functions.BindingDirection, as the protocol numbers it


class _StatusResult(SimpleNamespace):
    Success, Failure = "success", "failure"


class _Protocol:
    """The protocol's messages: each is what it was made of."""

    BindingInfo = _BindingInfo
    StatusResult = _StatusResult

    def __getattr__(self, name: str) -> type[SimpleNamespace]:
        return SimpleNamespace


class Worker:
    """A started worker."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self.functions = functions
        self.token = ""

    @classmethod
    async def start(cls, folder: Path) -> Worker:
        """Let the runtime index the app in `folder`."""
        function_app.app.functions_bindings = None  # somebody else may have read this app: its names would count as taken
        init = SimpleNamespace(capabilities={}, function_app_directory=str(folder))
        request = SimpleNamespace(
            request=SimpleNamespace(worker_init_request=init),
            properties={"host": "127.0.0.1", "protos": _Protocol()},
        )
        started = await worker_init_request(request)
        assert started.result.status == "success", started.result.exception.message
        indexed = await functions_metadata_request(request)
        return cls({each.name: each for each in indexed.function_metadata_results})

    def bindings(self, name: str) -> list[dict[str, Any]]:
        """A function's bindings as the host reads them."""
        return [json.loads(raw) for raw in self.functions[name].raw_bindings]

    async def http(self, name: str, method: str = "GET", body: object = None, **route: str) -> tuple[int, Any, dict[str, str]]:
        """Call an HTTP function with `token`, and bytes or what can be JSON: status, JSON, headers."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = {
            "method": _text(method),
            "url": _text(f"https://rollcall.example/api/{name}"),
            "headers": {
                "content-type": _text("application/json"),
                "authorization": _text(f"Bearer {self.token}"),
                "if-match": _text("*"),
            },
            "query": {},
            "params": {key: _text(value) for key, value in route.items()},
            "body": Datum(content, "bytes"),
        }
        returned = await self._invoke(name, "req", Datum(request, "http"), {})
        value = returned.value
        headers = {key.lower(): each.value for key, each in value["headers"].items()}
        return int(value["status_code"].value), json.loads(value["body"].value or b"null"), headers

    async def queue(self, name: str, body: str | bytes, *, attempt: int = 1) -> None:
        """Deliver a queue message, its base64 taken off as the host does."""
        now = datetime.now(UTC)
        metadata = {
            "QueueTrigger": _text(body if isinstance(body, str) else body.decode("utf-8", "replace")),
            "Id": _text(str(uuid4())),
            "PopReceipt": _text("AgAAAAMAAAAAAAAA"),
            "DequeueCount": Datum(str(attempt), "json"),
            "InsertionTime": Datum(json.dumps(_dotnet(now)), "json"),
            "ExpirationTime": Datum(json.dumps(_dotnet(now + timedelta(days=7))), "json"),
            "NextVisibleTime": Datum(json.dumps(_dotnet(now + timedelta(minutes=10))), "json"),
            "sys": Datum(json.dumps({"MethodName": name, "UtcNow": _dotnet(now), "RandGuid": str(uuid4())}), "json"),
        }
        await self._invoke(name, "msg", Datum(body, "string" if isinstance(body, str) else "bytes"), metadata)

    async def timer(self, name: str) -> None:
        """Fire a timer."""
        status = {
            "Last": "2026-11-02T01:00:00+00:00",
            "Next": "2026-11-02T01:05:00+00:00",
            "LastUpdated": "2026-11-02T01:00:00+00:00",
        }
        occasion = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False}
        await self._invoke(name, "timer", Datum(json.dumps(occasion), "json"), {})

    async def _invoke(self, name: str, parameter: str, value: Datum, metadata: dict[str, Datum]) -> Any:
        function = self.functions[name].function_id
        ok, returned, outputs, error, trace = await invocation_request_native(
            str(uuid4()), function, [(parameter, value)], metadata
        )
        if not ok:
            raise InvocationError(f"{error}\n{trace}")
        assert outputs == []
        return returned


def _text(value: str) -> Datum:
    return Datum(value, "string")


def _dotnet(moment: datetime) -> str:
    """As the host writes a DateTimeOffset: seven digits of a second."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0+00:00"
