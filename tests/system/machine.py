"""Storage, Microsoft 365 and functions hosts as processes of their own, and what one sees of them from outside."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from cloud.file_secrets import FileSecrets
from gdpr.encryption import MASTER_KEY
from local.azurite import Azurite
from local.connect import connect
from local.processes import Child
from sync_core import marks

ROOT = Path(__file__).parents[2]
TENANT = "11111111-2222-4333-8444-666666666666"
CLIENT = "99999999-8888-4777-8666-666666666666"
INSTALLATION = "system-test"
CLIENT_SECRET = "client-secret"
ROBOT = "99999999-8888-4777-8666-777777777777"
ROBOT_SECRET = "robot-secret"
CREATE = "POST /users/{id}/contactfolders/{id}/contacts"

Json = dict[str, Any]


def person(number: int, **values: Any) -> Json:
    """A directory user without a mailbox, as a tenant file has it."""
    upn = f"person.{number:03d}@example.com"
    return {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "userPrincipalName": upn,
        "displayName": f"Person Number{number:03d}",
        "givenName": "Person",
        "surname": f"Number{number:03d}",
        "mail": upn,
        "proxyAddresses": [f"SMTP:{upn}"],
        "department": "Sales",
        "mobilePhone": f"+49 151 2345{number:04d}",
        "usageLocation": "DE",
        "mailbox": "none",
        **values,
    }


def tenant_file(users: list[Json]) -> Json:
    """A tenant in the format of docs/tenant-file.md."""
    robot = {"clientId": ROBOT, "clientSecret": ROBOT_SECRET, "roles": ["Rollcall.Admin"]}
    app = {"clientId": CLIENT, "clientSecret": CLIENT_SECRET, "automation": [robot]}
    return {"id": TENANT, "displayName": "Example", "app": app, "users": users}


async def make_secrets(path: Path) -> None:
    """The secret store of one machine, filled."""
    store = FileSecrets(path)
    await store.create(MASTER_KEY, b64encode(b"m" * 32))
    await store.create("graph-client-secret", CLIENT_SECRET.encode())


def settings(graph: str, storage: str, secrets: Path, **more: str) -> dict[str, str]:
    """The app's settings."""
    return {
        "AzureWebJobsStorage": storage,
        "ROLLCALL_INSTALLATION": INSTALLATION,
        "ROLLCALL_REGION": "westeurope",
        "ROLLCALL_SECRETS": f"file:{secrets}",
        "ROLLCALL_GRAPH": f"{graph}/v1.0",
        "ROLLCALL_AUTHORITY": graph,
        "ROLLCALL_CLIENT_ID": CLIENT,
        "ROLLCALL_CLIENT_SECRET_NAME": "graph-client-secret",
        "ROLLCALL_CERTIFICATE_NAME": "",
        "ROLLCALL_IDENTITY_CLIENT_ID": "",
        "NO_PROXY": "127.0.0.1",
        **more,
    }


def until(found: Callable[[], object], what: str, *, seconds: float = 60, every: float = 0.01) -> None:
    """Wait until `found` says yes."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:g} s"
        time.sleep(every)


class Host:
    """A functions host and its HTTP endpoints, called by a script that may do everything."""

    def __init__(self, child: Child, token: str) -> None:
        self.child = child
        url = child.expect(r"listening on (http://\S+)")[1]
        self.url, self.token = url, token
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)

    def ask(self, method: str, path: str, body: object = None) -> Json:
        """Call the app; the JSON of a good answer."""
        while (answer := self._http.request(method, f"/api/{path}", json=body)).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found

    def define(self, sync: str, folder: str) -> None:
        """Define a sync that runs on request."""
        self.ask("POST", "syncs", {"sync": sync, "definition": {"name": sync, "folder": folder, "schedule": {"kind": "manual"}}})

    def start(self, sync: str) -> str:
        """Ask for a run."""
        return str(self.ask("POST", f"syncs/{sync}/runs")["run"])

    def run(self, run: str) -> Json:
        """A run as it stands."""
        return self.ask("GET", f"runs/{run}")

    def runs(self, sync: str) -> list[str]:
        """The ids of a sync's runs, the newest first."""
        return [run["run"] for run in self.ask("GET", f"runs?sync={sync}")["items"]]

    def served(self, run: str) -> int:
        """How many mailboxes of a run have a result."""
        return len(self.ask("GET", f"runs/{run}/mailboxes?size=200")["items"])

    def until_ended(self, run: str) -> Json:
        """Wait for the run's end."""
        until(lambda: self.run(run)["state"] not in ("queued", "running"), "the run ended")
        return self.run(run)

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self._http.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Machine:
    """Azurite and the stand-in, with as many hosts as a test wants."""

    def __init__(self, stack: ExitStack, folder: Path, tenant: Json, host_json: Json | None = None) -> None:
        file = folder / "tenant.json"
        file.write_text(json.dumps(tenant))
        command = [sys.executable, "-m", "local.m365", "--port", "0", "--tenant", str(file)]
        cloud = stack.enter_context(Child(command, cwd=ROOT))
        self.azurite = stack.enter_context(Azurite())
        asyncio.run(make_secrets(folder / "secrets.json"))
        settings_file, self._host_json = folder / "settings.json", folder / "host.json"
        settings_file.write_text("{}")
        self._host_json.write_text(json.dumps(host_json or json.loads((ROOT / "host.json").read_text())))
        self._arguments = ["--port=0", f"--settings={settings_file}", f"--host-json={self._host_json}"]
        url = cloud.expect(r"stand-in at (http://\S+?)/v1\.0")[1]
        self.environment = settings(url, self.azurite.connection_string, folder / "secrets.json", ROLLCALL_LEASE_SECONDS="5")
        self._control = stack.enter_context(httpx.Client(base_url=f"{url}/control/", trust_env=False, timeout=30))
        asyncio.run(connect(self.environment, TENANT, default_country="DE"))
        self._token = str(self.control("POST", "token", {"tenant": TENANT, "client": ROBOT})["token"])
        self._stack = stack

    def host(self) -> Host:
        """One more functions host. Messages of a dead one come again when the claims of its worker have run out."""
        command = [sys.executable, "-m", "local.host", "--lease=6", *self._arguments]
        child = self._stack.enter_context(Child(command, cwd=ROOT, env=self.environment))
        return self._stack.enter_context(Host(child, self._token))

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Act on the stand-in, or see what it has."""
        answer = self._control.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def counters(self) -> Json:
        """Everything that the stand-in has served."""
        found: Json = self.control("GET", "counters")
        return found

    def created(self) -> int:
        """Contacts that were asked for."""
        return int(self.counters()["templates"].get(CREATE, 0))

    def fired(self, kind: str) -> int:
        """How often a fault has struck."""
        return int(self.control("GET", "faults")["fired"].get(kind, 0))

    def fault(self, kind: str, **values: Any) -> None:
        """Put a fault in force."""
        self.control("POST", "faults", {"kind": kind, **values})

    def directory(self, *operations: Json) -> None:
        """Act as the directory's admin."""
        self.control("POST", "directory", {"tenant": TENANT, "operations": operations})

    def mailbox(self, user: str) -> Json:
        """A mailbox as it is."""
        found: Json = self.control("GET", f"mailbox?tenant={TENANT}&user={user}")
        return found


@contextmanager
def machine(folder: Path, tenant: Json, host_json: Json | None = None) -> Iterator[Machine]:
    """A machine; everything on it ends with the block."""
    with ExitStack() as stack:
        yield Machine(stack, folder, tenant, host_json)


def ours(extended: Json, sync: str) -> marks.Mark | None:
    """The mark of this installation and sync, if that is what a thing carries."""
    mark = marks.parse(str(extended.get(marks.KEY_PROPERTY, "")))
    return mark if mark and (mark.installation, mark.sync) == (INSTALLATION, sync) else None


def foreign(mailbox: Json) -> list[tuple[str, list[Json]]]:
    """Everything in a mailbox that carries no mark of this installation: folders by path, with their contacts."""

    def theirs(extended: Json) -> bool:
        return not str(extended.get(marks.KEY_PROPERTY, "")).startswith(f"{INSTALLATION}/")

    return [
        (folder["path"], [contact for contact in folder["contacts"] if theirs(contact["extended"])])
        for folder in mailbox["folders"]
        if theirs(folder["extended"])
    ]


def wrongs(mailbox: Json, people: dict[str, Json], sync: str) -> list[str]:
    """What in a mailbox is not as a finished sync of `people` leaves it. Foreign things are for `foreign`."""
    owner, found = mailbox["user"][-3:], []
    folders = [folder for folder in mailbox["folders"] if ours(folder["extended"], sync)]
    if len(folders) != 1:
        return [f"{owner}: {len(folders)} folders of the sync"]
    seen: set[str] = set()
    for folder in mailbox["folders"]:
        for contact in folder["contacts"]:
            mark = ours(contact["extended"], sync)
            if mark is None:
                if folder is folders[0]:
                    found.append(f"{owner}: something without a mark in our folder")
                continue
            if folder is not folders[0]:
                found.append(f"{owner}: {mark.key} is an orphan in {folder['path']}")
            elif mark.key in seen:
                found.append(f"{owner}: {mark.key} is there twice")
            elif mark.key.removeprefix("u:") not in people:
                found.append(f"{owner}: {mark.key} should have gone")
            else:
                found += [f"{owner}: {mark.key}: {wrong}" for wrong in _differs(contact, people[mark.key.removeprefix("u:")])]
            seen.add(mark.key)
    return found + [f"{owner}: {missing} is missing" for missing in sorted({f"u:{key}" for key in people} - seen)]


def _differs(contact: Json, user: Json) -> list[str]:
    mails = [entry["address"] for entry in contact["emailAddresses"]]
    pairs = {
        "displayName": (contact["displayName"], user["displayName"]),
        "surname": (contact["surname"], user["surname"]),
        "department": (contact["department"], user["department"]),
        "emailAddresses": (mails, [user["mail"]]),
        "mobilePhone": ((contact["mobilePhone"] or "").replace(" ", ""), (user["mobilePhone"] or "").replace(" ", "")),
    }
    return [f"{name} is {is_!r}, not {should!r}" for name, (is_, should) in pairs.items() if is_ != should]
