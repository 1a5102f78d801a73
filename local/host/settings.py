"""host.json and local.settings.json."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """`extensions.queues` of host.json; times in seconds.

    Defaults: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#hostjson-settings
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0
    max_polling_interval: float = 60
    base64: bool = True


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the host takes from host.json; times in seconds.

    Defaults: https://learn.microsoft.com/azure/azure-functions/functions-host-json (functionTimeout: the Flex Consumption plan's)
    """

    route_prefix: str = "api"
    function_timeout: float = 1800
    queues: QueueSettings = field(default_factory=QueueSettings)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read host.json. Raises ValueError when it cannot be understood."""
        values = json.loads(path.read_text())
        extensions = values.get("extensions", {})
        queues = extensions.get("queues", {})
        batch_size = queues.get("batchSize", 16)
        encoding = queues.get("messageEncoding", "base64")
        if not 1 <= batch_size <= 32:
            raise ValueError(f"{path.name}: batchSize must be 1 to 32")
        if encoding not in ("base64", "none"):
            raise ValueError(f"{path.name}: messageEncoding must be base64 or none")
        return cls(
            route_prefix=extensions.get("http", {}).get("routePrefix", "api"),
            function_timeout=_seconds(values.get("functionTimeout", "00:30:00")),
            queues=QueueSettings(
                batch_size=batch_size,
                new_batch_threshold=queues.get("newBatchThreshold", batch_size // 2),
                max_dequeue_count=queues.get("maxDequeueCount", 5),
                visibility_timeout=_seconds(queues.get("visibilityTimeout", "00:00:00")),
                max_polling_interval=_seconds(queues.get("maxPollingInterval", "00:01:00")),
                base64=encoding == "base64",
            ),
        )


def load_local_settings(path: Path) -> None:
    """Put the `Values` of a local.settings.json into the environment; what is set there already stays, as with Core Tools."""
    values = json.loads(path.read_text()).get("Values", {})
    for name, value in values.items():
        if not isinstance(value, str):
            raise ValueError(f"{path.name}: {name} must be a string")
        os.environ.setdefault(name, value)


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by that setting. Raises ValueError for one that is not set."""

    def setting(match: re.Match[str]) -> str:
        try:
            return environment[match[1]]
        except KeyError:
            raise ValueError(f"the setting {match[1]} is not set") from None

    return re.sub(r"%([^%]+)%", setting, text)


def connection_string(name: str, environment: Mapping[str, str]) -> str:
    """The storage connection string that a trigger's `connection` names. Raises ValueError for one that is not set."""
    value = environment.get(name) or environment.get(f"AzureWebJobs{name}")
    if not value:
        raise ValueError(f"the setting {name} is not set: it must hold a storage connection string")
    if value.strip().rstrip(";").lower() == "usedevelopmentstorage=true":
        from local.azurite import development_storage

        return development_storage()
    return value


def _seconds(timespan: Any) -> float:
    """A .NET time span, `[d.]hh:mm:ss[.fff]`, in seconds."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)", str(timespan))
    if not found:
        raise ValueError(f"not a time span of the form hh:mm:ss: {timespan}")
    days, hours, minutes, seconds = found.groups()
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
