"""Delta queries over users, groups and organisation contacts.

graph/api/user-delta, group-delta, orgcontact-delta, graph/delta-query-overview, graph/delta-query-users,
graph/delta-query-groups.
"""

from __future__ import annotations

import re
from typing import Any

from local.m365 import delta, odata
from local.m365.call import Call
from local.m365.directory import Collection
from local.m365.directory_api import SETS, check_select, show
from local.m365.faults import FaultKind
from local.m365.wire import GraphError, Reply

NAVIGATION = {"user": frozenset({"manager"}), "group": frozenset({"members", "owners"}), "orgContact": frozenset[str]()}
MOST_IDS = 50  # graph/api/user-delta: $filter takes at most 50 ids


def users_delta(call: Call) -> Reply:
    """Changes of users."""
    return _delta(call, call.tenant.directory.users)


def groups_delta(call: Call) -> Reply:
    """Changes of groups and, with `$select=members`, of memberships; those of a large group are split over pages."""
    return _delta(call, call.tenant.directory.groups)


def org_contacts_delta(call: Call) -> Reply:
    """Changes of organisation contacts."""
    return _delta(call, call.tenant.directory.org_contacts)


def _delta(call: Call, collection: Collection) -> Reply:
    token = _token(call, collection)
    faults = call.service.faults
    settings = call.service.settings
    kind = collection.kind
    names = odata.read_select(token.select, kind, NAVIGATION[kind]) if token.select else None
    plain = None if names is None else [name for name in names if name not in NAVIGATION[kind]]
    with_members = kind == "group" and names is not None and "members" in names
    content: dict[str, Any] = {"@odata.context": call.context(f"{SETS[kind]}/$delta"), "value": []}
    if faults.strike(frozenset({FaultKind.EMPTY_PAGE}), call):
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
        return Reply(200, content)
    watched = None if names is None else frozenset(names)
    value: list[dict[str, Any]] = content["value"]
    removed_early = faults.strike(frozenset({FaultKind.REMOVED_EARLY}), call) is not None
    more = False
    for change in collection.log.since(token.position, token.base, watched, full=token.full):
        if len(value) >= settings.directory_delta_page:
            more = True
            break
        if token.ids and change.key not in token.ids:
            token.position = change.sequence
            continue
        item = collection.objects.get(change.key)
        if item is None:
            token.position = change.sequence
            if removed_early or not token.full or change.sequence > token.base:
                reason = "changed" if change.key in collection.deleted else "deleted"
                value.append({"id": change.key, "@removed": {"reason": reason}})
            continue
        shown = _shown(kind, item, plain, change.names if token.minimal else None)
        if with_members:
            members = call.tenant.directory.member_changes(change.key, token.base, full=token.full or change.names is None)
            piece = members[token.offset : token.offset + settings.members_page]
            if piece:
                shown["members@delta"] = piece
            value.append(shown)
            if token.offset + len(piece) < len(members):  # the rest of this group comes on the next page
                token.offset += len(piece)
                more = True
                break
            token.offset = 0
        else:
            value.append(shown)
        token.position = change.sequence
    if value and faults.strike(frozenset({FaultKind.REPEATED}), call):
        value.append(value[0])
    if more:
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
    else:
        token.position, token.final = max(token.position, collection.log.sequence), True
        content["@odata.deltaLink"] = call.link(f"$deltatoken={token.encode()}")
    return Reply(200, content)


def _token(call: Call, collection: Collection) -> delta.Token:
    """The token in the request, or a new one from its options, which count only in the first request."""
    kind = collection.kind
    faults = call.service.faults
    now = call.service.now()
    text = call.query.get("$deltatoken") or call.query.get("$skiptoken")
    minimal = call.prefer.minimal
    if not text or text == "latest":
        odata.allow(call.query, "$select", "$filter", "$deltatoken", "$skiptoken")
        names = odata.select(call.query, kind, NAVIGATION[kind])
        check_select(names or ())
        ids = _ids(call.query["$filter"]) if "$filter" in call.query else ()
        sequence = collection.log.sequence
        token = delta.Token(kind, now.timestamp(), base=sequence, select=call.query.get("$select", ""), ids=ids, minimal=minimal)
        if text:  # graph/delta-query-overview: `latest` asks for a link that tells only of what is to come
            token.position, token.full = sequence, False
        return token
    odata.allow(call.query, "$deltatoken", "$skiptoken")
    token = delta.decode(text, kind)
    struck = faults.strike(frozenset({FaultKind.TOKEN_EXPIRED}), call)
    if struck is not None or not delta.check_age(token, now, delta.DIRECTORY_LIFE):
        fresh = f"$select={token.select}&$deltatoken=" if token.select else "$deltatoken="
        raise delta.expired(struck.style if struck else call.service.settings.expiry, call.link(fresh))
    if token.final:
        token.base, token.full, token.final, token.minimal = token.position, False, False, minimal
        if faults.strike(frozenset({FaultKind.REPLAYED}), call):
            token.position = token.base = max(0, token.position - 5)
    token.issued = now.timestamp()
    return token


def _ids(text: str) -> tuple[str, ...]:
    found = []
    for condition in re.split(r"\s+or\s+", text.strip()):
        equal = re.fullmatch(r"id\s+eq\s+'([^']*)'", condition.strip())
        if not equal:
            raise GraphError(400, "Request_UnsupportedQuery", "A delta query can only be filtered by ids.")
        found.append(equal[1].lower())
    if len(found) > MOST_IDS:
        raise GraphError(400, "Request_UnsupportedQuery", f"Too many ids in the filter: at most {MOST_IDS} are allowed.")
    return tuple(found)


def _shown(kind: str, item: dict[str, Any], names: list[str] | None, changed: frozenset[str] | None) -> dict[str, Any]:
    """An object of a delta page. What was never set is left out; with `changed`, so is what did not change."""
    full = show(kind, item, names if names != [] else ["id"])
    return {
        name: value for name, value in full.items() if name == "id" or (name in item and (changed is None or name in changed))
    }
