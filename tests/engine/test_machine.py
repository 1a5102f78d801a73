"""The whole engine against whatever may happen: afterwards every mailbox is right and nothing foreign was touched.

Runs 500 histories, always the same ones. ROLLCALL_HISTORIES=20000 runs that many others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from local.m365.delta import Expiry
from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Contact
from sync_core import marks
from sync_core.engine import admin, runs, schedule
from sync_core.errors import ConflictError, InputError, NotFoundError
from sync_core.messages import as_dict, parse
from sync_core.model import RunState
from sync_core.state.runs import Check, load_run, newest_runs
from sync_core.state.syncs import load_sync
from tests.engine import oracle
from tests.engine.hazards import Fuse, Hazards, KilledError, Site
from tests.engine.phones import Phones
from tests.engine.world import NIGHTLY, STEPS, SYNC, TENANT

HISTORIES = int(os.environ.get("ROLLCALL_HISTORIES", "0"))
FIRED: Counter[str] = Counter()
FAULTS = [kind for kind in FaultKind if kind not in (FaultKind.BUMPED, FaultKind.NEW_IDS, FaultKind.STATE)]
SECOND = "second"
MOST_PEOPLE = 6
FOLDER = "Colleagues"

some = st.integers(0, 11)  # which person, contact or folder: modulo however many there are
chance = st.booleans()

Method = TypeVar("Method", bound=Callable[..., None])


EVENTS: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []


def event(weight: int = 1, **values: st.SearchStrategy[Any]) -> Callable[[Method], Method]:
    """One of the things that may happen in a step, as likely as its weight. Rules of their own would be off in most histories."""

    def register(method: Method) -> Method:
        EVENTS.extend(st.tuples(st.just(method.__name__), st.fixed_dictionaries(values)) for _ in range(weight))
        return method

    return register


class Engine(RuleBasedStateMachine):
    """One history."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_note)
        self.broken = True  # until it is set up
        self.bugs = _Bugs()
        logging.getLogger("rollcall.chunk").addHandler(self.bugs)

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self.loop.run_until_complete(work)
        except BaseException:
            self.broken = True
            raise

    @rule(what=st.deferred(lambda: st.one_of(EVENTS)))
    def step(self, what: tuple[str, dict[str, Any]]) -> None:
        name, values = what
        getattr(self, name)(**values)

    # --- the beginning ---------------------------------------------------------------------------------------------------

    @initialize(people=st.integers(2, 4), permanent=chance, second_site=chance, second_sync=chance, brakes=chance, calm=chance)
    def begin(self, people: int, permanent: bool, second_site: bool, second_sync: bool, brakes: bool, calm: bool) -> None:
        self.hazards = Hazards()
        self.sites = [Site(self.hazards, permanent_delete=permanent)]
        self.world = self.sites[0]
        if second_site:
            self.sites.append(Site(self.hazards, beside=self.world, installation="installation-two"))
        self.cloud, self.tenant, self.clock = self.world.cloud, self.world.tenant, self.world.clock
        self.phones = Phones(self.tenant)
        self.hired = 0
        self.blind = False  # something happened that only a close look shows
        self.syncs = [(site, sync) for site in self.sites for sync in ([SYNC, SECOND] if second_sync else [SYNC])]
        self.definitions: dict[tuple[str, str], dict[str, Any]] = {}
        self.deleting: set[tuple[str, str]] = set()
        for _ in range(people):
            self.hire(number=0, mailbox=True)
        self.extra = {"brakes": {"percent": 20, "at_least": 2}} if brakes else {}
        self.do(self._begin(calm))
        self.broken = False

    async def _begin(self, calm: bool) -> None:
        for site, sync in self.syncs:
            await site.connect(self.definition(), sync=sync)
            self.definitions[site.installation, sync] = self.definition()
            await runs.request_run(site.context, TENANT, sync)
        if calm:
            await self.drain()

    def definition(self, **values: Any) -> dict[str, Any]:
        return {"name": "People", "folder": FOLDER, "schedule": NIGHTLY, **self.extra, **values}

    # --- the directory ---------------------------------------------------------------------------------------------------

    @event(number=some, mailbox=chance)
    def hire(self, number: int, mailbox: bool) -> None:
        """A new colleague; some share a name or an e-mail address."""
        users = list(self.tenant.directory.users.objects.values())
        if len(users) >= MOST_PEOPLE:
            return
        self.hired += 1
        upn = f"person{self.hired}@example.com"
        namesake = users[number % len(users)] if users and number % 4 == 1 else None
        shared = users[number % len(users)]["mail"] if users and number % 4 == 2 else upn
        self.world.hire(
            namesake["displayName"] if namesake else f"Person Number{self.hired}",
            userPrincipalName=upn,
            mail=shared,
            proxyAddresses=[f"SMTP:{shared}"],
            mobilePhone=f"+4915123456{700 + self.hired}",
            businessPhones=["+49301234567"],
            mailbox="ok" if mailbox else "none",
        )

    @event(
        2,
        who=some,
        act=st.sampled_from(
            ["department", "no mobile", "mobile", "no business", "rename", "disable", "enable", "remove", "erase", "restore"]
        ),
        number=some,
    )
    def directory(self, who: int, act: str, number: int) -> None:
        """An admin changes a user."""
        live, deleted = list(self.tenant.directory.users.objects), list(self.tenant.directory.users.deleted)
        if act == "restore":
            if deleted:
                self.tenant.restore_user(deleted[who % len(deleted)])
                self.blind = True  # a leaver's mailbox is looked at once a week
            return
        if not live:
            return
        user = live[who % len(live)]
        match act:
            case "department":
                self.tenant.change_user(user, {"department": f"Department {number}"})
            case "no mobile":
                self.tenant.change_user(user, {"mobilePhone": None})
            case "mobile":
                self.tenant.change_user(user, {"mobilePhone": f"+49151234567{number:02d}"})
            case "no business":
                self.tenant.change_user(user, {"businessPhones": []})
            case "rename":
                self.tenant.change_user(
                    user, {"displayName": f"New Name{number}", "givenName": "New", "surname": f"Name{number}"}
                )
            case "disable" | "enable":
                self.tenant.enable_user(user, enabled=act == "enable")
            case "remove":
                self.tenant.remove_user(user)
            case "erase":
                self.tenant.remove_user(user, permanently=True)
                self.phones.forget(user)

    @event(who=some, state=st.sampled_from(["ok", "none", "onPremises", "full", "outOfScope", "moving"]))
    def mailbox_state(self, who: int, state: str) -> None:
        users = list(self.tenant.mailboxes)
        if users:
            self.tenant.set_mailbox_state(users[who % len(users)], state)

    @event(which=some, rest=some, act=st.sampled_from(["all", "exclude", "include"]))
    def retarget(self, which: int, rest: int, act: str) -> None:
        site, sync = self.sync(which)
        users = list(self.tenant.directory.users.objects)
        if (site.installation, sync) in self.deleting or (site.installation, sync) not in self.definitions:
            return
        chosen = tuple(user for at, user in enumerate(users) if (rest >> at) & 1)
        targets: dict[str, Any] = {} if act == "all" else {act: chosen}
        definition = self.definition(targets=targets)
        self.definitions[site.installation, sync] = definition
        self.do(site.define(definition, sync=sync))

    # --- phones ----------------------------------------------------------------------------------------------------------

    def user(self, who: int) -> str | None:
        users = [user for user in self.tenant.directory.users.objects if user in self.tenant.mailboxes]
        return users[who % len(users)] if users else None

    @event(
        3,
        who=some,
        which=some,
        where=some,
        act=st.sampled_from(["edit", "delete", "erase", "move", "copy here", "copy", "undelete", "create", "bump", "ids"]),
    )
    def phone(self, who: int, which: int, where: int, act: str, *, busy: bool = False) -> None:
        """A user does something to a contact; when `busy`, while the mailbox is being served."""
        user = self.user(who)
        if user is None:
            return
        phones, box = self.phones, self.phones.box(user)
        folders = [box.contacts, *phones.live_folders(user)]
        folder = folders[where % len(folders)]
        colleague = list(self.tenant.directory.users.objects.values())[which % len(self.tenant.directory.users.objects)]
        FIRED[f"phone: {act}"] += 1
        match act:
            case "create":
                phones.create(user, folder, mail=colleague["mail"])
            case "bump":
                self.tenant.bump_change_keys(user)
            case "ids":
                self.tenant.change_item_ids(user)
                self.blind = True
            case "undelete":
                deleted = sorted(self.tenant.deleted_contacts(user), key=lambda contact: contact.uid)
                deleted = [contact for contact in deleted if self.is_served(user, contact.extended)]
                if deleted:
                    phones.move(user, deleted[which % len(deleted)], folder)
                    self.blind = True
            case _:
                contacts = phones.live(user)
                if busy:  # what is copied behind the back of a removal, nobody can find
                    contacts = [contact for contact in contacts if self.is_served(user, contact.extended)]
                if contacts:
                    self.handle(user, contacts[which % len(contacts)], act, where)

    def is_served(self, user: str, extended: dict[str, str]) -> bool:
        """Whether what carries this mark, if it comes out of Deleted Items, is still ours to care for."""
        mark = marks.parse(extended.get(marks.KEY_PROPERTY, ""))
        definition = self.definitions.get((mark.installation, mark.sync)) if mark else {}
        return mark is None or (definition is not None and user in oracle.targets(self.tenant, definition))

    def handle(self, user: str, contact: Contact, act: str, where: int) -> None:
        phones, box = self.phones, self.phones.box(user)
        elsewhere = [folder for folder in (box.contacts, *phones.live_folders(user)) if folder is not contact.folder]
        match act:
            case "edit":
                phones.edit(user, contact, f"+49301{where:05d}")
            case "delete":
                phones.delete(user, contact)
            case "erase":
                phones.delete(user, contact, permanently=True)
            case "copy here":
                phones.copy(user, contact, contact.folder)
            case "move" if elsewhere:
                phones.move(user, contact, elsewhere[where % len(elsewhere)])
                self.blind = True
            case "copy" if elsewhere:
                phones.copy(user, contact, elsewhere[where % len(elsewhere)])
                self.blind = True

    @event(who=some, which=some, act=st.sampled_from(["ours", "other", "rename", "nest", "raise", "delete", "restore"]))
    def folder(self, who: int, which: int, act: str) -> None:
        """A user does something to a folder."""
        user = self.user(who)
        if user is None:
            return
        box = self.phones.box(user)
        folders = self.phones.live_folders(user)
        names = {folder.name for folder in box.contacts.children.values()}
        FIRED[f"folder: {act}"] += 1
        if act in ("ours", "other"):
            name = FOLDER if act == "ours" else f"Friends {which}"
            if name not in names:
                box.create_folder(box.contacts, name)
            return
        if act == "restore":
            deleted = [folder for folder in box.deleted_items.children.values() if self.is_served(user, folder.extended)]
            if deleted and deleted[which % len(deleted)].name not in names:
                box.move_folder(deleted[which % len(deleted)], box.contacts)
                self.blind = True
            return
        if not folders:
            return
        folder = folders[which % len(folders)]
        others = [other for other in folders if folder not in box.ancestors(other)]
        siblings = {child.name for other in others for child in other.children.values()}
        match act:
            case "rename" if f"Renamed {which}" not in {other.name for other in box.folders()}:
                box.rename_folder(folder, f"Renamed {which}")
            case "nest" if others and folder.name not in siblings:
                box.move_folder(folder, others[which % len(others)])
                self.blind = True
            case "raise" if folder.name not in names:
                box.move_folder(folder, box.contacts)
            case "delete":
                self.phones.delete_folder(user, folder)
                self.blind = True

    # --- faults ----------------------------------------------------------------------------------------------------------

    @event(
        5,
        kind=st.sampled_from(FAULTS),
        times=st.integers(1, 5),
        number=some,
        half=chance,
    )
    def fault(self, kind: FaultKind, times: int, number: int, half: bool) -> None:
        """Something goes wrong in Microsoft 365 from now on, a few times."""
        fault = Fault(kind, times=times, share=0.5 if half else 1.0)
        match kind:
            case "latency":
                fault.delay = float(1 + number * 5)
            case "throttled":
                fault.retry_after = None if half else 1 + number * 4
            case "error":
                fault.status = (503, 504, 500)[number % 3]
                fault.retry_after = number if number % 2 else None
                fault.scope = "batch" if number > 9 else "request"
            case "dropped":
                fault.scope = "batch" if half else "request"
            case "lost":
                fault.scope = "batch" if number % 2 else "request"
                fault.answer = "504" if number % 3 else "drop"
                if number < 8:
                    fault.method, fault.path = ("POST", r"/contact(s|Folders)$") if not number % 2 else ("", "")
            case "late":
                fault.delay = 30.0 + number * 30
                fault.method, fault.path = ("POST", r"/contact(s|Folders)$") if number % 3 else ("PATCH", r"/contacts/")
            case "tokenExpired":
                fault.style = list(Expiry)[number % 3]
            case "missed":
                self.blind = True
            case "deleteNotFound":  # there must be something to delete
                for _ in range(MOST_PEOPLE):
                    self.stir(0)
                self.carry_on(20)
        self.cloud.faults.add(fault)
        self.night(number, many=number % 3 > 0)

    @event(3, after=st.integers(1, 60), where=st.sampled_from(["", "storage", "during network", "after network", "queue"]))
    def kill(self, after: int, where: str) -> None:
        """A worker will die."""
        # a night has few requests and messages, and many operations of storage
        self.hazards.fuses.append(Fuse(self.hazards.kill, after if where in ("", "storage") else 1 + after % 5, where))
        self.night(after, many=after % 3 > 0)

    @event(2, after=st.integers(1, 40), act=st.sampled_from(["storage", "purge"]), which=some)
    def mishap(self, after: int, act: str, which: int) -> None:
        """Storage will fail, or somebody will empty the caches, at some moment."""
        site = self.sync(which)[0]
        self.hazards.fuses.append(Fuse(*((self.hazards.fail, after, "storage") if act == "storage" else (site.purge, after, ""))))
        self.night(which, many=after % 3 > 0)

    @event(
        2,
        after=st.integers(1, 30),
        who=some,
        which=some,
        where=some,
        act=st.sampled_from(["edit", "delete", "move", "copy here", "copy"]),
    )
    def busy_phone(self, after: int, who: int, which: int, where: int, act: str) -> None:
        """A user will do something in the middle of a run."""

        async def act_now() -> None:
            self.phone(who=who, which=which, where=where, act=act, busy=True)

        self.hazards.fuses.append(Fuse(act_now, after, "network"))
        self.night(which, many=True)

    @event(which=some)
    def purge(self, which: int) -> None:
        self.do(self.sync(which)[0].purge())

    @event(revoked=chance)
    def consent(self, revoked: bool) -> None:
        self.tenant.app.consent = "revoked" if revoked else "granted"
        FIRED["consent revoked"] += revoked

    # --- runs ------------------------------------------------------------------------------------------------------------

    def sync(self, which: int) -> tuple[Site, str]:
        return self.syncs[which % len(self.syncs)]

    def night(self, which: int, *, many: bool) -> None:
        """A run with something to write, on schedule or by hand, most of which is carried out."""
        self.stir(which)
        if which % 2:
            self.wait(1500)
        else:
            self.request(which // 2, list(Check)[which % 3])
        if many:
            self.carry_on(20)

    def stir(self, number: int) -> None:
        """Somebody comes; when there are many, somebody goes who has no mailbox."""
        users = self.tenant.directory.users.objects
        if len(users) >= MOST_PEOPLE:
            without = [user for user, values in users.items() if not values["assignedPlans"]]
            if without:
                self.tenant.remove_user(without[0], permanently=True)
                self.phones.forget(without[0])
        self.hire(number, mailbox=False)

    @event(which=some, check=st.sampled_from(Check))
    def request(self, which: int, check: Check) -> None:
        site, sync = self.sync(which)
        self.do(site.call(lambda context: runs.request_run(context, TENANT, sync, check=check, by_hand=True), accepted=EXPECTED))

    @event(count=st.integers(1, 6), at_once=st.integers(1, 3), doubled=chance, interleave=chance)
    def work(self, count: int, at_once: int, doubled: bool, interleave: bool) -> None:
        """Some messages are delivered, perhaps side by side, perhaps each to two workers at once."""
        self.hazards.interleave = interleave
        self.do(self._work(count, at_once, doubled))
        self.hazards.interleave = False

    async def _work(self, count: int, at_once: int, doubled: bool) -> None:
        for _ in range(count):
            for site in self.sites:
                await site.deliver_next(at_once=at_once, doubled=doubled)

    @event(which=some, back=some)
    def repeat(self, which: int, back: int) -> None:
        """An old message comes once more."""
        site = self.sync(which)[0]
        if site.sent:
            delivery = site.sent[-1 - back % len(site.sent)]
            FIRED["message repeated"] += 1
            self.do(site.queues.send(delivery.queue, as_dict(parse(STEPS[delivery.queue][0], delivery.body))))

    @event(minutes=st.sampled_from([1, 4, 11, 31, 300, 1500, 4400, 12000]))
    def wait(self, minutes: int) -> None:
        """Time passes, and the schedule's timer fires."""
        self.clock.advance(timedelta(minutes=minutes))
        for site in self.sites:
            self.do(site.call(schedule.schedule_syncs))

    @event(limit=st.integers(5, 40))
    def carry_on(self, limit: int) -> None:
        """What is to be done is mostly done."""
        self.do(self._work(limit, 1, False))

    @event(which=some)
    def delete_sync(self, which: int) -> None:
        site, sync = self.sync(which)
        if (site.installation, sync) in self.definitions:
            self.do(site.call(lambda context: admin.delete_sync(context, TENANT, sync), accepted=EXPECTED))
            self.do(self._note_deletion(site, sync))

    async def _note_deletion(self, site: Site, sync: str) -> None:
        try:
            deleted = (await load_sync(site.tables, TENANT, sync)).deleting
        except NotFoundError:
            deleted = True
        if deleted:
            FIRED["sync deleted"] += 1
            self.definitions.pop((site.installation, sync))
            self.deleting.add((site.installation, sync))

    @event()
    def create_sync(self) -> None:
        """A deleted sync is made anew, once it is gone."""
        for installation, sync in sorted(self.deleting):
            site = next(site for site in self.sites if site.installation == installation)
            self.do(self._create_sync(site, sync))

    async def _create_sync(self, site: Site, sync: str) -> None:
        try:
            await site.define(self.definition(), sync=sync)
        except InputError:
            return  # it is still being deleted
        FIRED["sync made anew"] += 1
        self.deleting.discard((site.installation, sync))
        self.definitions[site.installation, sync] = self.definition()

    @event(which=some, release=chance)
    def judge(self, which: int, release: bool) -> None:
        """A person releases or drops what is held."""
        self.do(self._judge(*self.sync(which), release))

    async def _judge(self, site: Site, sync: str, release: bool) -> None:
        async for run in newest_runs(site.tables, TENANT):
            if run.sync == sync:
                if run.state is RunState.HELD or run.reasons.get("deletions_held"):
                    FIRED["released" if release else "dropped a run"] += 1
                    act = runs.release if release else runs.drop
                    await site.call(lambda context: act(context, TENANT, run.run), accepted=EXPECTED)  # noqa: B023 - called at once
                return

    # --- the end -----------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if not self.broken:
                self.do(self._end())
                for name, count in (*self.cloud.faults.fired.items(), *self.hazards.fired.items()):
                    FIRED[name] += count
                FIRED["histories"] += 1
        finally:
            logging.getLogger("rollcall.chunk").removeHandler(self.bugs)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(_rest(self.loop))
            self.loop.close()

    async def _end(self) -> None:
        """Faults stop; after enough quiet runs everything is right."""
        self.cloud.faults.clear()
        self.hazards.fuses.clear()
        self.tenant.app.consent = "granted"
        for _ in range(2):
            await self.tick(minutes=31)
        await self.run_all(Check.DUE)
        await self.tick(minutes=11)
        self.clock.advance(timedelta(hours=25))
        await self.run_all(Check.CHANGES)
        if not self.blind:
            self.check("after quiet nights")
        self.clock.advance(timedelta(days=8))
        await self.run_all(Check.EVERYTHING)
        await self.tick(minutes=11)
        self.check("after a close look")
        for site, sync in self.syncs:
            if (site.installation, sync) in self.definitions:
                await self.nothing_is_left_to_do(site, sync)

    async def drain(self) -> None:
        for site in self.sites:
            await site.drain()

    async def tick(self, *, minutes: float) -> None:
        await self.drain()
        self.clock.advance(timedelta(minutes=minutes))
        for site in self.sites:
            await site.tick()
        await self.drain()

    async def run_all(self, check: Check) -> None:
        for site, sync in self.syncs:
            for _ in range(3):
                try:
                    run_id = await runs.request_run(site.context, TENANT, sync, check=check, by_hand=True)
                except NotFoundError:
                    break
                await site.drain()
                run = await load_run(site.tables, TENANT, run_id)
                assert run.state.final, f"{run.state} with nothing left to deliver"
                if run.state is not RunState.HELD and not run.reasons.get("deletions_held"):
                    break
                await runs.release(site.context, TENANT, run_id)
                await site.drain()

    async def nothing_is_left_to_do(self, site: Site, sync: str) -> None:
        run_id = await runs.request_run(site.context, TENANT, sync, by_hand=True)
        await site.drain()
        run = await load_run(site.tables, TENANT, run_id)
        assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0), f"{sync} still does {run.counts}"
        assert (await load_sync(site.tables, TENANT, sync)).active_run == ""

    def check(self, when: str) -> None:
        found = [*self.phones.wrongs(), *self.cloud.counters.violations, *self.hazards.wrongs, *self.bugs.found]
        for user in oracle.reachable(self.tenant):
            found += self.phones.left_behind(user)
            for site, sync in self.syncs:
                definition = self.definitions.get((site.installation, sync))
                target = definition is not None and user in oracle.targets(self.tenant, definition)
                found += oracle.wrongs(self.tenant, user, installation=site.installation, sync=sync, target=target)
        assert not found, "\n".join([when, *found])


EXPECTED = (ConflictError, InputError, NotFoundError)


class _Bugs(logging.Handler):
    """What the engine itself calls a bug of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tasks of killed processes end without anybody to ask why."""
    error = context.get("exception")
    if error is not None and not isinstance(error, KilledError):
        loop.default_exception_handler(context)


async def _rest(loop: asyncio.AbstractEventLoop) -> None:
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()), return_exceptions=True)
    await loop.shutdown_asyncgens()


def test_whatever_happens_every_mailbox_is_right_in_the_end() -> None:
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=HISTORIES or 500,
            stateful_step_count=10,
            derandomize=not HISTORIES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_every_fault_fired(capsys: pytest.CaptureFixture[str]) -> None:
    if not FIRED["histories"]:
        pytest.skip("no history was played")
    with capsys.disabled():
        sys.stdout.write("\n" + "  ".join(f"{name}: {count}" for name, count in sorted(FIRED.items())) + "\n")
    wanted = {str(kind) for kind in FaultKind} | {"killed", "storage failed", "purged", "delivered twice", "consent revoked"}
    assert not {name for name in wanted if not FIRED[name]}
