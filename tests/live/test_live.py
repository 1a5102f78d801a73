"""The program that tries a real tenant, run against the stand-in; and the stand-in against what a real tenant has answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from local.clock import VirtualClock
from local.live import program
from local.live.__main__ import TRANSCRIPTS, main
from local.live.program import FailedError, Trial
from local.live.transcript import Entry, Transcript, differences, load, shape
from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import MailboxState
from local.m365.service import Microsoft365
from local.m365.tenant import App, Tenant
from local.m365.transport import Microsoft365Transport
from sync_core.errors import TenantError

TENANT = "55555555-2222-4333-8444-555555555555"
CLIENT = "66666666-8888-4777-8666-555555555555"
SECRET = "s3cret-of-the-app"
STEPS = {"before", "first sync", "change", "phone edit", "purge", "lost ledger", "removal", "clean up"}


class Bench:
    """A stand-in with two people who have mailboxes, and a trial on it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.cloud = Microsoft365(self.clock)
        permissions = frozenset({"User.Read.All", "Contacts.ReadWrite"})
        self.tenant: Tenant = self.cloud.add_tenant(TENANT, "Example", App(CLIENT, SECRET, permissions))
        self.people = [
            self.tenant.add_user({"userPrincipalName": f"{name}@contoso.example", "displayName": f"{name.title()} Berg"})
            for name in ("anna", "zoe")
        ]
        own = {"displayName": "Own Contact", "givenName": "Own", "surname": "Contact"}
        for person in self.people:
            box = self.tenant.mailbox(person)
            box.create(box.contacts, own)
        self.said: list[str] = []

    def trial(self, transport: httpx.AsyncBaseTransport | None = None) -> Trial:
        account = program.Account(TENANT, CLIENT, SECRET.encode(), self.people, "http://127.0.0.1:1/v1.0", "http://127.0.0.1:1")
        return Trial(account, self.clock, transport or Microsoft365Transport(self.cloud), self.said.append)

    def names(self) -> list[list[str]]:
        """All that is in the mailboxes, wherever it lies."""
        return [[str(item.values["displayName"]) for item in self.tenant.contacts(person)] for person in self.people]

    def folders(self) -> list[list[str]]:
        return [[folder.name for folder in self.tenant.mailbox(person).folders()] for person in self.people]


async def tried(bench: Bench) -> Transcript:
    trial = bench.trial()
    await trial.run()
    return trial.transcript


async def test_the_trial_goes_through_and_leaves_nothing_behind() -> None:
    bench = Bench()
    folders = bench.folders()
    transcript = await tried(bench)
    assert bench.names() == [["Own Contact"]] * 2
    assert bench.folders() == folders
    assert {entry.step for entry, _ in transcript} == STEPS
    assert set(bench.said) == STEPS
    assert bench.cloud.counters.violations == []


async def test_a_transcript_holds_nothing_of_anybody(tmp_path: Path) -> None:
    bench = Bench()
    transcript = await tried(bench)
    transcript.save(tmp_path / "one.jsonl")
    text = (tmp_path / "one.jsonl").read_text()
    secrets = [TENANT, CLIENT, SECRET, *bench.people, "Berg", "Test0", "contoso", "Own Contact", "rollcall.invalid", "@example"]
    secrets += [person[:8] for person in bench.people]
    secrets += [item.id for person in bench.people for item in bench.tenant.contacts(person)]
    assert [secret for secret in secrets if secret in text] == []
    assert '"path":"/users/{id}/contactfolders/{id}/contacts"' in text
    assert "access_token" not in text


async def test_two_trials_on_the_stand_in_agree_and_a_kinder_one_is_found_out(tmp_path: Path) -> None:
    transcript = await tried(Bench())
    transcript.save(tmp_path / "one.jsonl")
    kept = load(tmp_path / "one.jsonl")
    assert kept.entries == transcript.entries
    again = await tried(Bench())
    assert differences(kept, again) == []

    altered = load(tmp_path / "one.jsonl")
    entry = next(entry for entry, _ in altered if entry.method == "POST" and entry.status == 201)
    del altered.entries[entry]
    values = {name: getattr(entry, name) for name in Entry.__slots__}
    altered.entries[Entry(**{**values, "status": 400, "code": "ErrorInvalidRequest"})] = 1
    found = differences(altered, again)
    assert any("ErrorInvalidRequest" in line for line in found)

    richer = load(tmp_path / "one.jsonl")
    values["got"] = (*entry.got, "flag.flagStatus: text")
    del richer.entries[entry]
    richer.entries[Entry(**values)] = 1
    assert any("only the real service sends flag.flagStatus" in line for line in differences(richer, again))

    fewer = load(tmp_path / "one.jsonl")
    for known in [known for known, _ in fewer if known.step == "purge"]:
        del fewer.entries[known]
    assert any("only the stand-in was asked this" in line for line in differences(fewer, again))


@pytest.mark.parametrize("moment", [2, 4, 7, 11, 16, 22])
async def test_a_trial_that_breaks_off_cleans_up(moment: int) -> None:
    """The network fails for good in the middle, and is back for the cleaning up."""
    bench = Bench()
    folders = bench.folders()

    class Failing(httpx.AsyncBaseTransport):
        calls = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.calls += 1
            if self.calls > moment and "clean up" not in bench.said:
                return httpx.Response(403, json={"error": {"code": "Authorization_RequestDenied"}})
            return await Microsoft365Transport(bench.cloud).handle_async_request(request)

    with pytest.raises((FailedError, TenantError)):
        await bench.trial(Failing()).run()
    assert bench.names() == [["Own Contact"]] * 2
    assert bench.folders() == folders


async def test_what_a_killed_trial_has_left_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    folders = bench.folders()
    trial = bench.trial()
    kept = trial.clean

    async def killed() -> None:
        return None

    monkeypatch.setattr(trial, "clean", killed)
    monkeypatch.setattr(trial, "_removal", killed)
    await trial.run()
    assert len(bench.names()[0]) == 14
    await kept()
    assert bench.names() == [["Own Contact"]] * 2
    assert bench.folders() == folders


async def test_a_service_that_behaves_otherwise_is_noticed() -> None:
    bench = Bench()
    bench.tenant.set_mailbox_state(bench.people[1], MailboxState.FULL)
    with pytest.raises(FailedError):
        await bench.trial().run()


async def test_throttling_does_not_spoil_a_trial() -> None:
    bench = Bench()
    bench.cloud.faults.add(Fault(FaultKind.THROTTLED, times=4, retry_after=2))
    await tried(bench)
    assert bench.names() == [["Own Contact"]] * 2


COMPLETE = {
    "ROLLCALL_LIVE_TENANT": TENANT,
    "ROLLCALL_LIVE_CLIENT_ID": CLIENT,
    "ROLLCALL_LIVE_MAILBOXES": TENANT,
    "ROLLCALL_LIVE_CLIENT_SECRET": "x",
}


@pytest.mark.parametrize(
    "changes",
    [
        dict.fromkeys(COMPLETE, ""),
        *({name: ""} for name in COMPLETE),
        {"ROLLCALL_LIVE_CERTIFICATE": "both.pem"},
        {"ROLLCALL_LIVE_CLIENT_SECRET": "", "ROLLCALL_LIVE_CERTIFICATE": "/nowhere/at/all.pem"},
        {"ROLLCALL_LIVE_MAILBOXES": "anna@contoso.example"},
        {"ROLLCALL_LIVE_MAILBOXES": ",".join([TENANT] * 3)},
    ],
)
def test_without_credentials_it_says_that_it_has_not_run(
    changes: Mapping[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([], {**COMPLETE, **changes}, transcripts=tmp_path) == 2
    assert capsys.readouterr().out.startswith("NOT RUN: ")
    assert list(tmp_path.iterdir()) == []


def test_a_shape_is_names_and_types() -> None:
    value = {"id": "x", "value": [{"a": 1}, {"a": None, "b": [True]}], "none": None}
    assert shape(value) == ("id: text", "value[].a: number", "value[].b[]: truth")


async def test_the_stand_in_answers_as_the_real_service_did() -> None:
    recorded = sorted(TRANSCRIPTS.glob("*.jsonl"))
    if not recorded:
        pytest.skip("no transcript of a real tenant has been committed: the stand-in has been compared with nothing")
    ours = await tried(Bench())
    for file in recorded:
        assert differences(load(file), ours) == [], file.name
