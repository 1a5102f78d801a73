from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core import attributes
from sync_core.attributes import FLAGS, NAMES, TEXTS, fold, reader
from sync_core.directory import merge
from tests.sync_core.people import ANNA

PERSON = merge(None, ANNA)
ORG_CONTACT = {"id": "2", "displayName": "Fabrikam", "mail": "info@fabrikam.com"}


def test_the_names() -> None:
    assert set(NAMES) == {
        "department", "companyName", "officeLocation", "jobTitle", "city", "state", "employeeType", "displayName",
        "userPrincipalName", "domain", "country", "userType", "enabled", "licensed", "hasPhone", "hasMobile", "hasEmail",
        "functionalMailbox", "serviceAccount", *(f"extensionAttribute{number}" for number in range(1, 16)),
    }  # fmt: skip
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SALES", "sales"),
        ("STRASSE", "straße"),
        ("e\u0301", "É"),
        ("Ａ１", "a1"),
        ("ﬁnance", "FINANCE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("İ", "i\u0307"),
    ],
)
def test_texts_that_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_folding_settles(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    if text.isascii():
        assert fold(text) == text.lower()


def test_each_text_is_read_from_its_property() -> None:
    person = {name: f"the {name}" for name in TEXTS if name != "domain"} | {"mail": "anna@sales@Contoso.com"}
    assert {name: reader(name)(person) for name in TEXTS} == {
        **{name: f"the {name}" for name in TEXTS},
        "domain": "Contoso.com",
    }
    assert {reader(name)({}) for name in TEXTS} == {""}


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ({"country": "Germany", "usageLocation": "US"}, "DE"),
        ({"country": "Narnia", "usageLocation": "US"}, "US"),
        ({"usageLocation": "CH"}, "CH"),
        ({"country": "Narnia"}, ""),
        ({}, ""),
    ],
)
def test_the_country(person: dict[str, Any], expected: str) -> None:
    assert attributes.country(person) == expected


@pytest.mark.parametrize(
    ("person", "kind", "disabled"),
    [
        (PERSON, "member", False),
        ({**PERSON, "userType": "Guest"}, "guest", False),
        ({"userPrincipalName": "old@contoso.com"}, "member", True),
        ({"userPrincipalName": "old@contoso.com", "accountEnabled": False}, "member", True),
        (ORG_CONTACT, "", False),
    ],
)
def test_accounts(person: dict[str, Any], kind: str, disabled: bool) -> None:
    assert attributes.user_type(person) == kind
    assert attributes.is_guest(person) is (kind == "guest")
    assert attributes.is_disabled(person) is disabled


def test_flags() -> None:
    def true(person: dict[str, Any]) -> set[str]:
        return {name for name, (_, read) in FLAGS.items() if read(person) is True}

    assert true(PERSON) == {"enabled", "licensed", "hasPhone", "hasMobile", "hasEmail"}
    assert true({"mobilePhone": "1"}) == {"hasPhone", "hasMobile"}
    assert true({"businessPhones": ["1"]}) == {"hasPhone"}
    assert true({"isResourceAccount": True}) == {"functionalMailbox"}
    assert true({"mail": "noreply@contoso.com"}) == {"hasEmail", "serviceAccount"}
    assert {read({}) for _, read in FLAGS.values()} == {False}
    words = [words for words, _ in FLAGS.values()]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    ("person", "unreachable"),
    [({"mail": "a@x"}, False), ({"mobilePhone": "1"}, False), ({"businessPhones": ["1"]}, False), ({}, True)],
)
def test_who_cannot_be_reached(person: dict[str, Any], unreachable: bool) -> None:
    assert attributes.is_unreachable(person) is unreachable


ROOM = {"userPrincipalName": "fox@contoso.com", "displayName": "Room Fox", "mail": "fox@contoso.com", "businessPhones": ["1"]}


@pytest.mark.parametrize(
    ("change", "functional"),
    [
        ({}, True),
        ({"accountEnabled": True}, True),
        ({"mailbox": True}, False),
        ({"mailbox": True, "isResourceAccount": True}, True),
        ({"isResourceAccount": False}, True),
        ({"givenName": "Anna"}, False),
        ({"surname": "Schmidt"}, False),
        ({"mobilePhone": "1"}, False),
        ({"mail": ""}, False),
        ({"givenName": "Anna", "isResourceAccount": True}, True),
    ],
)
def test_functional_mailboxes(change: dict[str, Any], functional: bool) -> None:
    assert attributes.is_functional_mailbox({**ROOM, **change}) is functional


def test_who_has_no_account_has_no_functional_mailbox() -> None:
    assert not attributes.is_functional_mailbox(ORG_CONTACT)


@pytest.mark.parametrize(
    "local",
    [
        "noreply", "NoReply", "no-reply", "no_reply", "no.reply", "donotreply", "do-not-reply", "do_not.reply", "dontreply",
        "noreply-hr", "hr-noreply", "hr.no-reply.de", "noreply+x", "mailer-daemon", "MAILERDAEMON", "postmaster", "svc-backup",
        "svc_sql", "svc.x", "backup-svc", "backup_svc", "ne-pas-repondre", "noresponder", "nonrispondere", "nicht-antworten",
        "Sync_SRV01_0a1b2c3d4e5f", "ADToAADSyncServiceAccount", "HealthMailbox-x", "SystemMailbox{1f05a927}",
        "DiscoverySearchMailbox{D919BA05}", "a@x-svc",
    ],
)  # fmt: skip
def test_service_accounts(local: str) -> None:
    assert attributes.is_service_account({"mail": f"{local}@contoso.com"})
    assert attributes.is_service_account({"mail": "x@contoso.com", "userPrincipalName": f"{local}@contoso.com"})
    assert attributes.is_service_account({"userPrincipalName": f"{local}@contoso.com"})


@pytest.mark.parametrize(
    "local",
    [
        "info", "sales", "anna.schmidt", "norepl", "reply", "noah.reply", "snoreply", "noreplying", "svcmeier", "msvc",
        "postmasters", "sync_anna", "sync_srv_0a1b2c3d4e5", "sync_srv_0a1b2c3d4e5f6", "adtoaadsyncserviceaccounts",
        "xsync_a_0a1b2c3d4e5f",
        "healthmailboxes", "systemmailboxadmin", "svc", "antworten", "x.svc.y",
    ],
)  # fmt: skip
def test_addresses_worth_having(local: str) -> None:
    assert not attributes.is_service_account({"mail": f"{local}@noreply.com", "userPrincipalName": f"{local}@svc-x.com"})
