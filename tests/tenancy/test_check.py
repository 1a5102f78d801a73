"""The connection check says of each permission and feature what works, what does not, and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from local.m365.mailbox import MailboxState
from sync_core.errors import NotFoundError, TransientError
from tenancy.check import MOST_TRIED, WORDS, Finding, State, check, last_check
from tenancy.features import NEEDS, Feature, permissions_for
from tenancy.services import Microsoft, Seen
from tests.engine.world import TENANT
from tests.tenancy.conftest import Site

DOCS = Path(__file__).parents[2] / "docs" / "connect.md"
NEEDED = frozenset({"User.Read.All", "Contacts.ReadWrite"})
DIRECTORY_ONLY = frozenset({"User.Read.All"})


class Staffed(Site):
    """A tenant with some mailboxes, and syncs that need what `sources` need."""

    def __init__(self) -> None:
        super().__init__()
        self.people = [self.world.hire(f"Person Number{n}") for n in range(4)]
        self.world.hire("Without Mailbox", mailbox="none")

    async def check(self, *, inside: str = "", outside: str = "") -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in await check(self.tenancy, TENANT, inside=inside, outside=outside):
            found.setdefault(finding.feature or finding.permission, []).append(finding)
        return found


@pytest.fixture
def staffed() -> Staffed:
    return Staffed()


def codes(found: dict[str, list[Finding]], feature: str) -> list[tuple[str, State]]:
    return [(finding.code, finding.state) for finding in found[feature]]


async def test_with_every_permission_everything_works(staffed: Staffed) -> None:
    staffed.tenant.app.permissions = permissions_for(Feature)
    found = await staffed.check()
    for feature in set(Feature) - {Feature.CONTACTS, Feature.PHOTOS}:
        assert codes(found, feature) == [("works", State.OK)], feature
    assert codes(found, "contacts") == [("works", State.OK), ("everything_open", State.WARNING)]
    assert found["contacts"][0].mailbox in staffed.people


async def test_what_is_not_granted_is_named_and_only_what_a_sync_needs_has_failed(staffed: Staffed) -> None:
    staffed.tenant.app.permissions = NEEDED
    found = await staffed.check()
    assert codes(found, "groups") == [("permission_missing", State.UNUSED)]
    assert (found["groups"][0].permission, found["groups"][0].detail) == ("GroupMember.Read.All", "Authorization_RequestDenied")
    assert "GroupMember.Read.All" in found["groups"][0].words
    await staffed.world.connect({"sources": [{"kind": "group", "id": TENANT}]})
    found = await staffed.check()
    assert codes(found, "groups") == [("permission_missing", State.FAILED)]
    assert codes(found, "org_contacts") == [("permission_missing", State.UNUSED)]


async def test_a_token_that_opens_mail_is_warned_of(staffed: Staffed) -> None:
    staffed.tenant.app.permissions = NEEDED | {"Mail.Read", "Mail.Send", "Files.Read.All"}
    found = await staffed.check()
    assert codes(found, "Mail.Read") == codes(found, "Mail.Send") == [("mail_permission", State.WARNING)]
    assert codes(found, "Files.Read.All") == [("not_needed", State.WARNING)]
    assert "User.Read.All" not in found


@pytest.mark.parametrize(
    ("consent", "detail"),
    [("revoked", "consent_missing AADSTS65001"), ("disabled", "consent_missing AADSTS7000112")],
)
async def test_without_a_token_nothing_else_is_tried(staffed: Staffed, consent: str, detail: str) -> None:
    staffed.tenant.app.consent = consent
    [finding] = await check(staffed.tenancy, TENANT)
    assert (finding.code, finding.state, finding.detail) == ("no_token", State.FAILED, detail)
    assert staffed.cloud.counters.requests == 0


async def test_a_scope_that_holds_is_proven_from_both_sides(staffed: Staffed) -> None:
    inside, outside, *_ = staffed.people
    app = staffed.tenant.app
    app.permissions, app.scoped, app.scope = DIRECTORY_ONLY, frozenset({"Contacts.ReadWrite"}), frozenset({inside})
    for named in ({"inside": inside, "outside": outside}, {}):
        found = await staffed.check(**named)
        assert codes(found, "contacts") == [("works", State.OK), ("scope_holds", State.OK)], named
        assert found["contacts"][0].mailbox == inside
        assert found["contacts"][1].mailbox != inside


async def test_a_permission_consented_to_besides_opens_the_scope(staffed: Staffed) -> None:
    inside, outside, *_ = staffed.people
    app = staffed.tenant.app
    app.permissions, app.scoped, app.scope = NEEDED, frozenset({"Contacts.ReadWrite"}), frozenset({inside})
    found = await staffed.check(inside=inside, outside=outside)
    assert codes(found, "contacts") == [("works", State.OK), ("scope_open", State.FAILED)]
    assert found["contacts"][1].mailbox == outside


async def test_a_mailbox_that_was_forgotten_in_the_scope(staffed: Staffed) -> None:
    inside, outside, *_ = staffed.people
    app = staffed.tenant.app
    app.permissions, app.scoped, app.scope = DIRECTORY_ONLY, frozenset({"Contacts.ReadWrite"}), frozenset()
    found = await staffed.check(inside=inside, outside=outside)
    assert codes(found, "contacts") == [("out_of_scope", State.FAILED), ("scope_holds", State.OK)]
    assert codes(await staffed.check(), "contacts") == [
        ("permission_missing", State.FAILED),
        ("nothing_outside", State.UNKNOWN),
    ]


async def test_a_scope_that_covers_all_cannot_be_proven_without_a_name(staffed: Staffed) -> None:
    app = staffed.tenant.app
    app.permissions, app.scoped = DIRECTORY_ONLY, frozenset({"Contacts.ReadWrite"})
    assert codes(await staffed.check(), "contacts")[1] == ("nothing_outside", State.UNKNOWN)


async def test_an_access_policy_of_exchange_limits_what_was_consented_to(staffed: Staffed) -> None:
    """Application access policies, which RBAC for Applications replaces, refuse although the token has the permission."""
    inside, outside, *_ = staffed.people
    staffed.tenant.set_mailbox_state(outside, MailboxState.OUT_OF_SCOPE)
    found = await staffed.check(inside=inside, outside=outside)
    assert codes(found, "contacts") == [("works", State.OK), ("scope_holds", State.OK)]
    found = await staffed.check(inside=outside)
    assert codes(found, "contacts")[0] == ("out_of_scope", State.FAILED)


async def test_an_outsider_without_a_mailbox_proves_nothing(staffed: Staffed) -> None:
    nobody = staffed.world.hire("Second Without", mailbox="none")
    app = staffed.tenant.app
    app.permissions, app.scoped = DIRECTORY_ONLY, frozenset({"Contacts.ReadWrite"})
    found = await staffed.check(inside=staffed.people[0], outside=nobody)
    assert codes(found, "contacts")[1] == ("no_mailbox", State.UNKNOWN)


async def test_the_mailboxes_that_syncs_read_are_tried(staffed: Staffed) -> None:
    first, second, *_ = staffed.people
    app = staffed.tenant.app
    app.permissions, app.scoped, app.scope = DIRECTORY_ONLY, frozenset({"Contacts.ReadWrite"}), frozenset({first})
    sources = [{"kind": "mailbox", "mailbox": mailbox, "folder": "default"} for mailbox in (first, second)]
    await staffed.world.connect({"sources": sources})
    found = await staffed.check(inside=first)
    assert [(one.code, one.mailbox) for one in found["shared_mailboxes"]] == [("works", first), ("permission_missing", second)]


async def test_without_mailboxes_there_is_nothing_to_try() -> None:
    site = Site()
    site.world.hire("Without Mailbox", mailbox="none")
    found = {finding.feature: finding.code for finding in await check(site.tenancy, TENANT)}
    assert found["calendars"] == found["shared_mailboxes"] == found["photos"] == "no_mailbox"


async def test_the_findings_are_kept_without_the_mailboxes(staffed: Staffed) -> None:
    with pytest.raises(NotFoundError):
        await last_check(staffed.tenancy, TENANT)
    made = await check(staffed.tenancy, TENANT, inside=staffed.people[0])
    at, kept = await last_check(staffed.tenancy, TENANT)
    assert at == staffed.world.clock.now()
    assert kept == [replace(finding, mailbox="", detail="") for finding in made]
    row = await staffed.world.tables.get("tenants", TENANT, "check")
    assert row is not None
    assert not [person for person in staffed.people if person in str(row.values)]


class Scripted(Microsoft):
    """Answers every look alike."""

    def __init__(self, answer: Seen | Exception, roles: frozenset[str] = permissions_for(Feature)) -> None:
        self._answer = answer
        self._roles = roles
        self.looks: list[str] = []

    async def roles(self, tenant: str) -> frozenset[str]:
        return self._roles

    async def look(self, tenant: str, path: str) -> Seen:
        self.looks.append(path)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def test_microsoft_out_of_reach_is_no_verdict(site: Site) -> None:
    site.tenancy = replace(site.tenancy, microsoft=Scripted(TransientError("429")))
    found = await check(site.tenancy, TENANT, inside="a", outside="b")
    assert {(one.code, one.state) for one in found} == {("unreachable", State.UNKNOWN)}


async def test_a_refusal_in_spite_of_the_permission(site: Site) -> None:
    site.tenancy = replace(site.tenancy, microsoft=Scripted(Seen(403, "AccessBlocked")))
    found = await check(site.tenancy, TENANT)
    directory = next(one for one in found if one.feature == "directory")
    assert (directory.code, directory.state, directory.detail) == ("refused", State.FAILED, "AccessBlocked")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Seen(200), "works"),
        (Seen(404, "ImageNotFound"), "works"),
        (Seen(403, "ErrorAccessDenied"), "out_of_scope"),
    ],
)
async def test_photos_work_where_one_may_ask(site: Site, answer: Seen, code: str) -> None:
    site.tenancy = replace(site.tenancy, microsoft=Scripted(answer))
    found = await check(site.tenancy, TENANT, inside="somebody")
    assert next(one.code for one in found if one.feature == "photos") == code


async def test_no_more_than_some_mailboxes_are_tried() -> None:
    plan = {"service": "exchange", "capabilityStatus": "Enabled"}
    people = [{"id": str(n), "accountEnabled": True, "assignedPlans": [plan]} for n in range(40)]
    site = Site()
    scripted = Scripted(Seen(200, body={"value": people}))
    site.tenancy = replace(site.tenancy, microsoft=scripted)
    await check(site.tenancy, TENANT)
    assert sum("contactFolders" in look for look in scripted.looks) == MOST_TRIED + 1


async def test_the_stand_in_refuses_as_graph_does(staffed: Staffed) -> None:
    look = staffed.tenancy.microsoft.look
    staffed.tenant.app.permissions = frozenset({"User.Read.All"})
    assert await look(TENANT, "/groups") == Seen(403, "Authorization_RequestDenied")
    assert await look(TENANT, f"/users/{staffed.people[0]}/contactFolders") == Seen(403, "ErrorAccessDenied")
    assert (await look(TENANT, f"/users/{TENANT}/contactFolders")).status == 403  # who may not look learns nothing of who exists


def section(title: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    _, _, text = DOCS.read_text(encoding="utf-8").partition(f"{title}\n")
    rows = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_finding_is_documented() -> None:
    assert sorted(row[0].strip("`") for row in section("## The connection check")) == sorted(WORDS)


def test_the_permissions_are_documented_as_they_are() -> None:
    documented = [[cell.strip("`") for cell in row] for row in section("## What Rollcall asks for")]
    expected = [[str(each), need.permission, need.purpose, "yes" if need.scopable else "no"] for each, need in NEEDS.items()]
    assert documented == expected
