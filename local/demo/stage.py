"""The three processes of the demo: storage, Microsoft 365, and the functions host with the real app."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.azurite import Azurite
from local.connect import connect
from local.demo.problems import DemoError
from local.m365.tenant_file import AppPart, TenantFile
from local.processes import Child, ChildError

ROOT = Path(__file__).parent.parent.parent
KEPT_LOGS = ROOT / ".local" / "demo"
INSTALLATION = "rollcall-demo"
_CLIENT_SECRET = "graph-client-secret"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything listens."""

    microsoft365: str
    host: str
    key: str  # opens the host's functions
    storage: str  # connection string
    children: Mapping[str, Child]

    def ended(self) -> str:
        """The name of a process that is no longer there, or ""."""
        return next((name for name, child in self.children.items() if child.process.poll() is not None), "")


@contextmanager
def stage(tenant: TenantFile, *, file: Path | None = None, record: Path | None = None) -> Iterator[Stage]:
    """Start everything, with `tenant` connected; stop it, in reverse order, however the block ends.

    `file` is where the tenant was read from (none: the stand-in's own demo tenant). Logs are kept when the block ends by an
    error. Raises DemoError.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-demo-", ignore_cleanup_errors=True)))
        try:
            yield _start(stack, folder, tenant, file, record)
        except ChildError as error:
            _keep_logs(folder)
            raise DemoError(str(error), f"Read {KEPT_LOGS}, and try again") from error
        except (Exception, SystemExit):
            _keep_logs(folder)
            raise


def _start(stack: ExitStack, folder: Path, tenant: TenantFile, file: Path | None, record: Path | None) -> Stage:
    options: list[str | Path] = []
    if file:
        options += ["--tenant", file.absolute()]
    if record:
        options += ["--record", record.absolute()]
    with _signals_held_back():
        command: list[str | Path] = [sys.executable, "-m", "local.demo.microsoft365", *options]
        microsoft365 = stack.enter_context(Child(command, cwd=ROOT, log=folder / "microsoft365.log"))
    azurite = stack.enter_context(Azurite())
    found = microsoft365.expect(r"Microsoft 365 stand-in at (http://\S+?)/v1\.0 ")
    environment = settings(found[1], azurite.connection_string, folder / "secrets.json", tenant.app)
    asyncio.run(_store_secrets(folder / "secrets.json", tenant.app.client_secret))
    asyncio.run(connect(environment, str(tenant.id)))
    (folder / "settings.json").write_text("{}")  # instead of a local.settings.json that may name a real tenant
    with _signals_held_back():
        command = [sys.executable, "-m", "local.host", "--port", "0", "--drain", "1", "--settings", folder / "settings.json"]
        host = stack.enter_context(Child(command, cwd=ROOT, env=environment, log=folder / "host.log"))
    listening = host.expect(r"Functions host is listening on (http://\S+) with key (\S+)\n")
    children = {"the Microsoft 365 stand-in": microsoft365, "the functions host": host}
    return Stage(found[1], listening[1], listening[2], azurite.connection_string, children)


def settings(microsoft365: str, storage: str, secrets_file: Path, app: AppPart) -> dict[str, str]:
    """The app's settings. Every one is given, an unused one as "": what the shell has set must not lead to a real tenant."""
    return {
        "AzureWebJobsStorage": storage,
        "ROLLCALL_INSTALLATION": INSTALLATION,
        "ROLLCALL_REGION": "westeurope",
        "ROLLCALL_SECRETS": f"file:{secrets_file}",
        "ROLLCALL_GRAPH": f"{microsoft365}/v1.0",
        "ROLLCALL_AUTHORITY": microsoft365,
        "ROLLCALL_CLIENT_ID": str(app.client_id),
        "ROLLCALL_CLIENT_SECRET_NAME": _CLIENT_SECRET,
        "ROLLCALL_CERTIFICATE_NAME": "",
        "ROLLCALL_IDENTITY_CLIENT_ID": "",
        "ROLLCALL_MASTER_KEY_NAME": "",
        "ROLLCALL_TENANTS": "",
        "ROLLCALL_ADDRESS": "",
        "ROLLCALL_EU_ADDRESS": "",
        "ROLLCALL_LEASE_SECONDS": "",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let no signal come between the start of a process and our hold on it."""
    caught: list[int] = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    kept = {number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None)) is not None}
    for number in kept:
        signal.signal(number, lambda caught_number, _: caught.append(caught_number))
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        for number in caught:
            signal.raise_signal(number)


async def _store_secrets(path: Path, client_secret: str) -> None:
    from cloud.file_secrets import FileSecrets
    from gdpr.encryption import MASTER_KEY

    store = FileSecrets(path)
    await store.create(MASTER_KEY, b64encode(secrets.token_bytes(32)))
    await store.create(_CLIENT_SECRET, client_secret.encode())


def _keep_logs(folder: Path) -> None:
    KEPT_LOGS.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        shutil.copy(log, KEPT_LOGS)
