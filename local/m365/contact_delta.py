"""The delta query over the contacts of a folder (graph/api/contact-delta, graph/delta-query-overview)."""

from __future__ import annotations

from typing import Any

from local.m365 import delta, odata
from local.m365.call import Call
from local.m365.contacts_api import show
from local.m365.faults import FaultKind
from local.m365.outlook import PAGE, folder_at
from local.m365.wire import GraphError, Reply

LARGEST_PAGE = 200


def contacts_delta(call: Call) -> Reply:
    """What changed in a folder since the token, or all of it. Outlook's tokens have no fixed life."""
    if "$expand" in call.query:
        raise GraphError(500, "ErrorInternalServerError", "An internal server error occurred. The operation failed.")
    folder = folder_at(call)
    faults = call.service.faults
    resource = f"{call.box.owner}/{folder.id}"
    text = call.query.get("$deltatoken") or call.query.get("$skiptoken")
    if text:
        odata.allow(call.query, "$deltatoken", "$skiptoken")
        token = delta.decode(text, resource)
        struck = faults.strike(frozenset({FaultKind.TOKEN_EXPIRED}), call)
        if struck is not None:
            raise delta.expired(struck.style, call.link("$deltatoken="))
        if token.final:
            token.base, token.full = token.position, False
            if faults.strike(frozenset({FaultKind.REPLAYED}), call):
                token.position = token.base = max(0, token.position - 5)
    else:
        odata.allow(call.query, "$select", "$deltatoken", "$skiptoken")
        token = delta.Token(resource, 0, base=folder.log.sequence, select=call.query.get("$select", ""))
    token.issued = call.service.now().timestamp()
    names = odata.read_select(token.select, "contact") if token.select else None
    token.page = min(call.prefer.max_page or token.page or PAGE, LARGEST_PAGE)
    content: dict[str, Any] = {"@odata.context": call.context("Collection(contact)"), "value": []}
    if faults.strike(frozenset({FaultKind.EMPTY_PAGE}), call):
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
        return Reply(200, content)
    immutable = call.prefer.immutable_ids
    removed_early = faults.strike(frozenset({FaultKind.REMOVED_EARLY}), call) is not None
    more = False
    for change in folder.log.since(token.position, token.base, None, full=token.full):
        if len(content["value"]) == token.page:
            more = True
            break
        token.position = change.sequence
        contact = folder.contacts.get(change.key)
        if contact is not None:
            shown = show(call.box, contact, immutable=immutable)
            if names is not None:
                shown = {
                    "@odata.etag": shown["@odata.etag"],
                    "id": shown["id"],
                    **{name: shown[name] for name in names if name in shown},
                }
            content["value"].append(shown)
        elif removed_early or not token.full or change.sequence > token.base:
            key = call.box.removed_id(folder, change.key, immutable=immutable)
            content["value"].append({"@odata.type": "#microsoft.graph.contact", "id": key, "@removed": {"reason": "deleted"}})
    if content["value"] and faults.strike(frozenset({FaultKind.REPEATED}), call):
        content["value"].append(content["value"][0])
    if more:
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
    else:
        token.position, token.final = max(token.position, folder.log.sequence), True
        content["@odata.deltaLink"] = call.link(f"$deltatoken={token.encode()}")
    return Reply(200, content)
