"""Who talks to the installation from outside: an admin, a stage hand, and a reader of Graph with a token of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson

from api.principal import Role
from local.demo.problems import DemoError
from local.demo.stage import INSTALLATION, Stage
from local.m365.tenant_file import TenantFile
from sync_core.marks import KEY_PROPERTY

SYNC = "colleagues"
_USER_FIELDS = (
    "id,displayName,givenName,surname,mail,userPrincipalName,proxyAddresses,mobilePhone,businessPhones,jobTitle,department,"
    "companyName,accountEnabled,userType,assignedPlans"
)
_EVENT_FIELDS = "id,changeKey,subject,start,end,isAllDay,location,showAs,sensitivity,isReminderOn,attendees"
_WITH_MARK = f"$expand=singleValueExtendedProperties($filter=id eq '{KEY_PROPERTY}')"

_TRIES = 4

Json = dict[str, Any]


class Client:
    """JSON over HTTP on this machine. Raises DemoError for an answer that is none of those hoped for."""

    def __init__(self, stage: Stage, base: str, headers: dict[str, str] | None = None) -> None:
        self._stage = stage
        self._http = httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60)

    def ask(
        self, method: str, path: str, body: object = None, *, accept: tuple[int, ...] = (200, 201, 202, 204), **more: Any
    ) -> Any:
        """The JSON of the answer, None when it is empty, or when `accept` has its status and it is an error."""
        try:
            for _ in range(_TRIES):
                answer = self._http.request(method, path, json=body, **more)
                if answer.status_code != 503 or answer.status_code in accept:
                    break
                time.sleep(1)  # storage is slow to answer on a busy machine
        except httpx.TransportError as error:
            who = self._stage.ended()
            what = f"{who} has ended" if who else f"{method} {path} was not answered: {type(error).__name__}"
            raise DemoError(what, "Read the logs in .local/demo, and try again") from None
        if answer.status_code not in accept:
            raise DemoError(
                f"{method} {path.partition('?')[0]} was answered {answer.status_code}: {answer.text[:500]}",
                "Read the logs in .local/demo",
            )
        return orjson.loads(answer.content) if answer.content and answer.is_success else None

    def sign_in(self, tenant: TenantFile, client_id: str, client_secret: str, scope: str) -> None:
        """Call as this application from now on."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret, "scope": scope}
        token = self.ask("POST", f"{self._stage.microsoft365}/{tenant.id}/oauth2/v2.0/token", data=form)
        self._http.headers["Authorization"] = f"Bearer {token['access_token']}"


class _Script(Client):
    """A script that calls the app's API with an app role of its own."""

    role: Role

    def __init__(self, stage: Stage, tenant: TenantFile) -> None:
        """Sign in. Raises DemoError when the tenant has no application that may."""
        super().__init__(stage, f"{stage.host}/api/")
        script = next((client for client in tenant.app.automation if self.role in client.roles), None)
        if script is None:
            raise DemoError(
                f"no application of the tenant has the role {self.role}", "Add one to app.automation (docs/tenant-file.md)"
            )
        scope = f"api://{tenant.app.client_id}/.default"
        self.sign_in(tenant, str(script.client_id), script.client_secret, scope)


class Officer(_Script):
    """A compliance officer."""

    role = Role.COMPLIANCE

    def make_request(self, kind: str, email: str) -> str:
        """Ask for something for a person; the request's id."""
        return str(self.ask("POST", "privacy/requests", {"kind": kind, "emails": [email]})["request"])

    def request(self, request: str) -> Json:
        """A request as it stands."""
        found: Json = self.ask("GET", f"privacy/requests/{request}")
        return found

    def matches(self, request: str) -> list[Json]:
        """Whom it leads to."""
        found: list[Json] = self.ask("GET", f"privacy/requests/{request}/matches")["items"]
        return found

    def confirm(self, request: str, keys: list[str]) -> None:
        """Let it begin, for these."""
        self.ask("POST", f"privacy/requests/{request}/confirm", {"keys": keys})

    def verify_trail(self) -> Json:
        """Whether the audit trail is whole."""
        verdict: Json = self.ask("GET", "audit/verification")
        return verdict


class Admin(_Script):
    """An admin."""

    role = Role.ADMIN

    def everybody(self, folder: str) -> None:
        """Define a sync of everybody into everybody's `folder`, that runs on request only."""
        self.define(SYNC, {"name": "Colleagues", "folder": folder, "schedule": {"kind": "manual"}})

    def define(self, sync: str, definition: Json) -> None:
        """Create a sync."""
        self.ask("POST", "syncs", {"sync": sync, "definition": definition})

    def start(self, check: str, sync: str = SYNC) -> str:
        """Start a run and return its id."""
        return str(self.ask("POST", f"syncs/{sync}/runs", {"check": check})["run"])

    def preview(self, sync: str) -> Json:
        """What a run would do now."""
        found: Json = self.ask("POST", f"syncs/{sync}/preview", {"first": 1})
        return found

    def newest_run(self, sync: str) -> str:
        """The id of the newest run of a sync."""
        return str(self.ask("GET", f"runs?sync={sync}&size=1")["items"][0]["run"])

    def judge(self, run: str, act: str) -> str:
        """Release a held run or undo a run; returns the id of the run that does it."""
        return str(self.ask("POST", f"runs/{run}/{act}")["run"])

    def run(self, run: str) -> Json:
        """A run as it stands."""
        found: Json = self.ask("GET", f"runs/{run}")
        return found

    def mailboxes(self, run: str) -> list[Json]:
        """What a run did in each mailbox."""
        found: list[Json] = []
        page = ""
        while True:
            answer: Json = self.ask("GET", f"runs/{run}/mailboxes?size=200{page}")
            found += answer["items"]
            if answer["next"] is None:
                return found
            page = f"&page={answer['next']}"


class StageHand(Client):
    """Acts as the directory's admin and as people on their phones, and counts what the stand-in served."""

    def __init__(self, stage: Stage, tenant: str) -> None:
        super().__init__(stage, f"{stage.microsoft365}/control/")
        self._tenant = tenant

    def counters(self) -> Json:
        """Everything served so far."""
        found: Json = self.ask("GET", "counters")
        return found

    def reset(self) -> None:
        """Count from zero."""
        self.ask("POST", "counters/reset")

    def advance(self, seconds: float = 0) -> datetime:
        """Set the clock of Microsoft 365 ahead; the time there now."""
        return datetime.fromisoformat(self.ask("POST", "advance", {"seconds": seconds})["now"])

    def directory(self, *operations: Json) -> list[str]:
        """Change the directory; the ids of the users concerned."""
        ids: list[str] = self.ask("POST", "directory", {"tenant": self._tenant, "operations": operations})["ids"]
        return ids

    def phone(self, user: str, *operations: Json) -> list[str]:
        """Act in a mailbox as its owner; the ids of what was made, "" for what made nothing."""
        ids: list[str] = self.ask("POST", "mailbox", {"tenant": self._tenant, "user": user, "operations": operations})["ids"]
        return ids


class Operator(Client):
    """Whoever runs the functions host: sets its clock ahead and fires its timers."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, f"{stage.host}/admin/", {"x-functions-key": stage.key})

    def advance(self, seconds: float) -> None:
        """Set the app's clock ahead."""
        self.ask("POST", "advance", {"seconds": seconds})

    def fire(self, timer: str) -> None:
        """Run a timer function now."""
        self.ask("POST", f"functions/{timer}", {})


@dataclass(slots=True)
class MailboxView:
    """A mailbox as Graph shows it: the contacts with our mark, in our folder, and everything else by id."""

    folder: str = ""  # display name of ours
    folder_id: str = ""
    ours: list[Json] = field(default_factory=list)
    foreign: dict[str, Json] = field(default_factory=dict)
    astray: list[Json] = field(default_factory=list)  # with our mark, outside our folder


class Reader(Client):
    """Reads the tenant over Graph with a token of its own."""

    def __init__(self, stage: Stage, tenant: TenantFile) -> None:
        super().__init__(stage, f"{stage.microsoft365}/v1.0/", {"Prefer": 'IdType="ImmutableId"'})
        self.sign_in(tenant, str(tenant.app.client_id), tenant.app.client_secret, "https://graph.microsoft.com/.default")

    def users(self) -> list[Json]:
        """The whole directory."""
        return list(self._pages(f"users?$top=999&$select={_USER_FIELDS}"))

    def groups(self) -> Iterator[tuple[Json, list[str]]]:
        """Every group with the ids of all its members."""
        for group in list(self._pages("groups?$top=999&$select=id,displayName")):
            yield group, [member["id"] for member in self._pages(f"groups/{group['id']}/transitiveMembers?$top=999&$select=id")]

    def mailbox(self, user: str, sync: str = SYNC) -> MailboxView | None:
        """All contacts of a mailbox as one of our syncs sees them; None when it cannot be reached."""
        mark = f"{INSTALLATION}/{sync}/"
        folders = self._folders(user)
        if folders is None:
            return None
        view = MailboxView()
        for folder, contacts in folders:
            ours = _mark(folder).startswith(mark)
            if ours:
                view.folder, view.folder_id = folder["displayName"], folder["id"]
            for contact in contacts:
                if not _mark(contact).startswith(mark):
                    view.foreign[contact["id"]] = contact
                else:
                    (view.ours if ours else view.astray).append(contact)
        return view

    def contacts(self, user: str) -> tuple[list[Json], list[Json]]:
        """Name, addresses and change key of a mailbox's contacts: those with a mark of ours, of any sync, and the others."""
        ours: list[Json] = []
        others: list[Json] = []
        for _, contacts in self._folders(user, "id,displayName,emailAddresses,changeKey") or ():
            for contact in contacts:
                (ours if _mark(contact).startswith(f"{INSTALLATION}/") else others).append(contact)
        return ours, others

    def _folders(self, user: str, fields: str = "") -> list[tuple[Json, list[Json]]] | None:
        """Every folder of a mailbox with its contacts, or only these fields of them; None when it cannot be reached."""
        select = f"&$select={fields}" if fields else ""
        default = self.ask("GET", f"users/{user}/contactFolders/contacts", accept=(200, 403, 404, 503))
        if default is None:
            return None
        found = []
        waiting = [default]
        while waiting:
            folder = waiting.pop()
            path = f"users/{user}/contactFolders/{folder['id']}"
            found.append((folder, list(self._pages(f"{path}/contacts?$top=999&{_WITH_MARK}{select}"))))
            waiting += self._pages(f"{path}/childFolders?$top=100&{_WITH_MARK}")
        return found

    def calendar(self, user: str, sync: str) -> str | None:
        """The id of the calendar in a mailbox that one of our syncs made, "" for none; None when it cannot be reached."""
        page = self.ask("GET", f"users/{user}/calendars?$top=100&{_WITH_MARK}", accept=(200, 403, 404, 503))
        if page is None:
            return None
        ours = (found for found in page["value"] if _mark(found).startswith(f"{INSTALLATION}/{sync}/"))
        return next((str(found["id"]) for found in ours), "")

    def calendars(self, user: str) -> list[Json]:
        """All calendars of a mailbox."""
        return list(self._pages(f"users/{user}/calendars?$top=100"))

    def view(self, user: str, calendar: str, start: datetime, end: datetime, zone: str = "UTC") -> list[Json]:
        """What a calendar shows between two moments, with times in a zone."""
        window = f"startDateTime={start:%Y-%m-%dT%H:%M:%SZ}&endDateTime={end:%Y-%m-%dT%H:%M:%SZ}"
        prefer = f'IdType="ImmutableId", outlook.timezone="{zone}"'
        path = f"users/{user}/calendars/{calendar}/calendarView?{window}&$top=500&$select={_EVENT_FIELDS}"
        return list(self._pages(path, headers={"Prefer": prefer}))

    def _pages(self, path: str, **more: Any) -> Iterator[Json]:
        while path:
            page = self.ask("GET", path, **more)
            yield from page["value"]
            path = page.get("@odata.nextLink", "")


def _mark(thing: Json) -> str:
    held = thing.get("singleValueExtendedProperties") or [{}]
    return str(held[0].get("value", ""))
