"""The connection check: what works of each feature, found out by trying it, and what to do where it does not.

Roles in a token are not enough to go by: what Exchange grants for some mailboxes is in none. Nothing of an answer is kept but ids
of mailboxes, and those only in what goes back to the admin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import orjson

from sync_core.definition import FromMailbox
from sync_core.errors import NotFoundError, TenantError, TransientError
from sync_core.ports import Put, Row
from sync_core.state.names import TENANTS
from sync_core.state.syncs import syncs_of
from tenancy.connection import features_of
from tenancy.features import FORBIDDEN, NEEDS, Feature, useless
from tenancy.services import Seen, Tenancy

MOST_TRIED = 10
"""Mailboxes that are tried when none is named."""

_ROW = "check"
_PAGE = 50


class State(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNUSED = "unused"  # does not work, and no sync needs it
    UNKNOWN = "unknown"  # could not be tried


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out. `mailbox` is the object id of the mailbox tried, `detail` an error code of Microsoft."""

    code: str
    state: State
    feature: str = ""
    permission: str = ""
    mailbox: str = ""
    detail: str = ""

    @property
    def words(self) -> str:
        """What it means, and what to do next."""
        return WORDS[self.code].format(permission=self.permission)


WORDS = {
    "works": "Works",
    "no_token": "Microsoft gives the app no token: give consent again, or see what is wrong with the credential",
    "permission_missing": "{permission} is not granted: grant it, if a sync is to use this",
    "refused": "{permission} is granted, but Graph refuses: look for a policy that stands in the way",
    "out_of_scope": "The app may not touch this mailbox: grant {permission}, or add it to the group that Exchange limits it to",
    "scope_holds": "The mailbox outside is refused, as it should be",
    "scope_open": "The mailbox outside can be read: see whether {permission} was consented to in Entra as well",
    "everything_open": "{permission} is granted for every mailbox: limit it, if you do not want that",
    "nothing_outside": "No mailbox outside the scope was named or found, so the limit could not be tried: name one",
    "no_mailbox": "No mailbox was named or found to try this with: name one in Exchange Online",
    "mail_permission": "{permission} opens people's mail, which this app never uses: remove it",
    "not_needed": "No feature needs {permission}: remove it",
    "unreachable": "Microsoft did not answer: check again later",
}
"""By code."""

_DIRECTORY_LOOKS = {
    Feature.DIRECTORY: "/users?$select=id&$top=1",
    Feature.GROUPS: "/groups?$select=id&$top=1",
    Feature.ORG_CONTACTS: "/contacts?$select=id&$top=1",
}
_MAILBOX_LOOKS = {
    Feature.CONTACTS: "/users/{id}/contactFolders?$select=id&$top=1",
    Feature.SHARED_MAILBOXES: "/users/{id}/contactFolders?$select=id&$top=1",
    Feature.PHOTOS: "/users/{id}/photo",
    Feature.CALENDARS: "/users/{id}/calendars?$select=id&$top=1",
}


async def check(tenancy: Tenancy, tenant: str, *, inside: str = "", outside: str = "") -> list[Finding]:
    """Try everything, and keep the findings without the mailboxes in them.

    `inside` and `outside` are object ids of users whose mailboxes the app should reach, and should not.
    """
    definitions = [sync.definition async for sync in syncs_of(tenancy.core.tables, tenant)]
    needed = features_of(definitions)
    shared = [str(source.mailbox) for one in definitions for source in one.sources if isinstance(source, FromMailbox)]
    work = _Check(tenancy, tenant, frozenset(needed))
    found = [finding async for finding in work.findings(inside, outside, shared)]
    kept = [{"code": one.code, "state": one.state, "feature": one.feature, "permission": one.permission} for one in found]
    values: Row = {"At": tenancy.core.now(), "Findings": orjson.dumps(kept).decode()}
    await tenancy.core.tables.commit(TENANTS, tenant, [Put(_ROW, values)])
    return found


async def last_check(tenancy: Tenancy, tenant: str) -> tuple[datetime, list[Finding]]:
    """When the last check was, and what it found, without mailboxes. Raises NotFoundError."""
    stored = await tenancy.core.tables.get(TENANTS, tenant, _ROW)
    if stored is None:
        raise NotFoundError("the connection was never checked")
    at = stored.values["At"]
    assert isinstance(at, datetime)
    return at, [Finding(**{**one, "state": State(one["state"])}) for one in orjson.loads(str(stored.values["Findings"]))]


class _Check:
    """One check under way."""

    def __init__(self, tenancy: Tenancy, tenant: str, needed: frozenset[Feature]) -> None:
        self._microsoft = tenancy.microsoft
        self._tenant = tenant
        self._needed = needed
        self._roles: frozenset[str] = frozenset()

    async def findings(self, inside: str, outside: str, shared: Sequence[str]) -> AsyncIterator[Finding]:
        try:
            self._roles = await self._microsoft.roles(self._tenant)
        except TenantError as error:
            yield Finding("no_token", State.FAILED, detail=f"{error.reason} {error.detail}".strip())
            return
        except TransientError:
            yield Finding("unreachable", State.UNKNOWN)
            return
        for role in useless(self._roles):
            yield Finding("mail_permission" if role.startswith(FORBIDDEN) else "not_needed", State.WARNING, permission=role)
        for feature, path in _DIRECTORY_LOOKS.items():
            yield await self._try(feature, path)
        candidates = [inside] if inside else await self._some_mailboxes()
        tried = {mailbox: await self._try(Feature.CONTACTS, _MAILBOX_LOOKS[Feature.CONTACTS], mailbox) for mailbox in candidates}
        home = next((mailbox for mailbox, finding in tried.items() if finding.code == "works"), inside)
        yield self._of_contacts(inside, home, list(tried.values()))
        yield await self._of_scope(outside, list(tried.values()))
        for feature in (Feature.SHARED_MAILBOXES, Feature.PHOTOS, Feature.CALENDARS):
            mailboxes = [*dict.fromkeys(shared)][:MOST_TRIED] if feature is Feature.SHARED_MAILBOXES and shared else [home]
            for mailbox in mailboxes:
                if mailbox:
                    yield await self._try(feature, _MAILBOX_LOOKS[feature], mailbox)
                else:
                    yield self._finding(feature, "no_mailbox")

    async def _some_mailboxes(self) -> list[str]:
        """Users of the directory's beginning who should have a mailbox."""
        try:
            page = await self._microsoft.look(self._tenant, f"/users?$select=id,accountEnabled,assignedPlans&$top={_PAGE}")
        except (TenantError, TransientError):
            return []
        people = page.body.get("value") or []
        return [person["id"] for person in people if person.get("accountEnabled") and _has_exchange(person)][:MOST_TRIED]

    async def _try(self, feature: Feature, path: str, mailbox: str = "") -> Finding:
        try:
            seen = await self._microsoft.look(self._tenant, path.format(id=mailbox))
        except TransientError as error:
            return self._finding(feature, "unreachable", mailbox, str(error))
        except TenantError as error:
            return self._finding(feature, "no_token", mailbox, error.detail)
        return self._judged(feature, seen, mailbox)

    def _judged(self, feature: Feature, seen: Seen, mailbox: str) -> Finding:
        if seen.ok or (feature is Feature.PHOTOS and seen.status == 404):  # allowed to ask; this one has none
            return self._finding(feature, "works", mailbox)
        if seen.status != 403:
            return self._finding(feature, "no_mailbox" if mailbox else "refused", mailbox, seen.code)
        if NEEDS[feature].met_by(self._roles):
            return self._finding(feature, "out_of_scope" if mailbox else "refused", mailbox, seen.code)
        return self._finding(feature, "permission_missing", mailbox, seen.code)

    def _finding(self, feature: Feature, code: str, mailbox: str = "", detail: str = "") -> Finding:
        state = State.OK if code == "works" else State.FAILED if feature in self._needed else State.UNUSED
        if code in ("unreachable", "no_mailbox"):
            state = State.UNKNOWN
        return Finding(code, state, feature, NEEDS[feature].permission, mailbox, detail)

    def _of_contacts(self, inside: str, home: str, tried: Sequence[Finding]) -> Finding:
        """Whether there is a mailbox to work in: the one that was named, or any of those found."""
        best = next((one for one in tried if one.mailbox == home), tried[0] if tried else None)
        if best is None:
            return self._finding(Feature.CONTACTS, "no_mailbox")
        if inside and best.code == "permission_missing":
            # no token would show what Exchange grants: the permission may be there, and this mailbox outside of it
            return replace(best, code="out_of_scope")
        return best

    async def _of_scope(self, outside: str, tried: Sequence[Finding]) -> Finding:
        """Whether the permission ends where it should."""
        everywhere = NEEDS[Feature.CONTACTS].met_by(self._roles)
        if outside:
            found = await self._try(Feature.CONTACTS, _MAILBOX_LOOKS[Feature.CONTACTS], outside)
            if found.code == "works":
                return replace(found, code="scope_open", state=State.FAILED)
            if found.detail == "" or found.code in ("no_mailbox", "unreachable", "no_token"):
                return found
            return replace(found, code="scope_holds", state=State.OK)
        if everywhere:
            return Finding("everything_open", State.WARNING, Feature.CONTACTS, NEEDS[Feature.CONTACTS].permission)
        refused = next((one for one in tried if one.code == "permission_missing"), None)
        if refused is not None and any(one.code == "works" for one in tried):
            return replace(refused, code="scope_holds", state=State.OK)
        return Finding("nothing_outside", State.UNKNOWN, Feature.CONTACTS, NEEDS[Feature.CONTACTS].permission)


def _has_exchange(person: dict[str, object]) -> bool:
    plans = person.get("assignedPlans")
    return isinstance(plans, list) and any(
        plan.get("service") == "exchange" and plan.get("capabilityStatus") == "Enabled" for plan in plans
    )
