"""Users, groups and organisation contacts over Graph.

graph/api/user-list, user-get, group-list, group-get, group-list-members, group-list-transitivemembers, orgcontact-list,
organization-list. Lists page by an opaque $skiptoken (graph/paging); $top goes from 1 to 999 and defaults to 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from local.m365 import odata, schema
from local.m365.call import Call
from local.m365.directory import TYPES, Collection, resource_not_found
from local.m365.wire import GraphError, Reply

PAGE = 100
LARGEST_PAGE = 999
# What comes without $select (graph/api/resources/user#properties and its likes).
DEFAULTS = {
    "user": [
        "businessPhones",
        "displayName",
        "givenName",
        "id",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
    ],
    "group": [
        "id",
        "deletedDateTime",
        "classification",
        "createdDateTime",
        "description",
        "displayName",
        "expirationDateTime",
        "groupTypes",
        "isAssignableToRole",
        "mail",
        "mailEnabled",
        "mailNickname",
        "membershipRule",
        "membershipRuleProcessingState",
        "proxyAddresses",
        "renewedDateTime",
        "securityEnabled",
        "securityIdentifier",
        "theme",
        "visibility",
    ],
    "orgContact": [
        "id",
        "deletedDateTime",
        "addresses",
        "companyName",
        "department",
        "displayName",
        "givenName",
        "jobTitle",
        "mail",
        "mailNickname",
        "onPremisesSyncEnabled",
        "phones",
        "proxyAddresses",
        "surname",
    ],
}
SETS = {"user": "users", "group": "groups", "orgContact": "contacts"}


def list_users(call: Call) -> Reply:
    """All users."""
    return _list(call, call.tenant.directory.users)


def get_user(call: Call) -> Reply:
    """One user by id or user principal name."""
    item = call.tenant.directory.user(call.params[0])
    if item is None:
        raise resource_not_found(call.params[0])
    return _one(call, "user", item)


def list_groups(call: Call) -> Reply:
    """All groups."""
    return _list(call, call.tenant.directory.groups)


def get_group(call: Call) -> Reply:
    """One group."""
    return _one(call, "group", call.tenant.directory.groups.get(call.params[0]))


def list_org_contacts(call: Call) -> Reply:
    """All organisation contacts."""
    return _list(call, call.tenant.directory.org_contacts)


def get_org_contact(call: Call) -> Reply:
    """One organisation contact."""
    return _one(call, "orgContact", call.tenant.directory.org_contacts.get(call.params[0]))


def list_members(call: Call) -> Reply:
    """The direct members of a group."""
    return _members(call, call.tenant.directory.members(_group(call)))


def list_transitive_members(call: Call) -> Reply:
    """The members of a group and of the groups in it."""
    return _members(call, call.tenant.directory.transitive_members(_group(call)))


def list_organization(call: Call) -> Reply:
    """The organisation itself, as a list of one (graph/api/organization-list)."""
    odata.allow(call.query, "$select")
    item: dict[str, Any] = {
        "id": call.tenant.id,
        "displayName": call.tenant.name,
        "countryLetterCode": None,
        "tenantType": "AAD",
        "verifiedDomains": [],
    }
    names = [name.strip() for name in call.query.get("$select", ",".join(item)).split(",")]
    shown = {"id": item["id"], **{name: item.get(name) for name in names}}
    return Reply(200, {"@odata.context": call.context("organization"), "value": [shown]})


def _group(call: Call) -> str:
    return str(call.tenant.directory.groups.get(call.params[0])["id"])


def check_select(names: Iterable[str]) -> None:
    """Refuse the property that needs a permission of its own (graph/api/resources/signinactivity)."""
    if "signInActivity" in names:
        raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def show(kind: str, item: Mapping[str, Any], names: Iterable[str] | None) -> dict[str, Any]:
    """The chosen properties of an object. What was never set is null, or an empty list."""
    lists = schema.collections(kind)
    shown = {name: item.get(name, [] if name in lists else None) for name in (names or DEFAULTS[kind])}
    shown["id"] = item["id"]
    return shown


def _one(call: Call, kind: str, item: Mapping[str, Any]) -> Reply:
    odata.allow(call.query, "$select")
    names = odata.select(call.query, kind)
    check_select(names or ())
    return Reply(200, {"@odata.context": call.context(f"{SETS[kind]}/$entity"), **show(kind, item, names)})


def _list(call: Call, collection: Collection) -> Reply:
    kind = collection.kind
    odata.allow(call.query, "$select", "$filter", "$top", "$skiptoken", "$count")
    names = odata.select(call.query, kind)
    check_select(names or ())
    items: Iterable[Mapping[str, Any]] = collection.objects.values()
    if "$filter" in call.query:
        predicate = odata.read_filter(call.query["$filter"], kind)
        items = [item for item in items if predicate(item)]
    return _page(call, SETS[kind], list(items), lambda item: show(kind, item, names))


def _members(call: Call, members: dict[str, str]) -> Reply:
    """Members of every kind. A cast to one kind is none of the routes: it is an advanced query, and refused for some groups."""
    odata.allow(call.query, "$select", "$top", "$skiptoken", "$count")
    directory = call.tenant.directory
    names = odata.select(call.query, "user")
    check_select(names or ())
    of = {"user": directory.users, "group": directory.groups, "orgContact": directory.org_contacts}
    found = [(kind, of[kind].objects[key]) for key, kind in members.items()]

    def render(entry: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
        kind, item = entry
        known = None if names is None else [name for name in names if name in schema.properties(kind)]
        return {"@odata.type": TYPES[kind], **show(kind, item, known)}

    return _page(call, "directoryObjects", found, render)


def _page(call: Call, what: str, found: list[Any], render: Any) -> Reply:
    if call.query.get("$count", "").lower() == "true" and call.headers.get("consistencylevel", "").lower() != "eventual":
        # graph/aad-advanced-queries: $count on directory objects is an advanced query.
        raise GraphError(
            400, "Request_UnsupportedQuery", "$count is only supported with the ConsistencyLevel header set to eventual."
        )
    size = odata.whole_number(call.query, "$top", 1, LARGEST_PAGE, PAGE)
    start = 0
    if "$skiptoken" in call.query:
        text = call.query["$skiptoken"]
        if not text.startswith("RFNwdAIAAQ") or not text[10:].isdigit():
            raise GraphError(
                400,
                "Directory_ExpiredPageToken",
                "The specified page token value has expired and can no longer be included in your request.",
            )
        start = int(text[10:])
    content: dict[str, Any] = {
        "@odata.context": call.context(what),
        "value": [render(item) for item in found[start : start + size]],
    }
    if "$count" in call.query:
        content["@odata.count"] = len(found)
    if start + size < len(found):
        content["@odata.nextLink"] = call.link(odata.next_options(call.query, {"$skiptoken": f"RFNwdAIAAQ{start + size}"}))
    return Reply(200, content)
