"""The delta query over the contacts of a folder (graph/api/contact-delta, graph/delta-query-overview)."""

from __future__ import annotations

from typing import Any

from local.m365 import delta, odata
from local.m365.call import Call
from local.m365.contacts_api import show
from local.m365.outlook import PAGE, folder_at
from local.m365.outlook_delta import resume, tell
from local.m365.wire import GraphError, Reply

LARGEST_PAGE = 200


def contacts_delta(call: Call) -> Reply:
    """What changed in a folder since the token, or all of it. Outlook's tokens have no fixed life."""
    if "$expand" in call.query:
        raise GraphError(500, "ErrorInternalServerError", "An internal server error occurred. The operation failed.")
    folder = folder_at(call)
    token = resume(call, f"{call.box.owner}/{folder.id}")
    if token is None:
        odata.allow(call.query, "$select", "$deltatoken", "$skiptoken")
        resource, select = f"{call.box.owner}/{folder.id}", call.query.get("$select", "")
        token = delta.Token(resource, 0, base=folder.log.sequence, select=select)
    names = odata.read_select(token.select, "contact") if token.select else None
    token.page = min(call.prefer.max_page or token.page or PAGE, LARGEST_PAGE)
    immutable = call.prefer.immutable_ids

    def lines(uid: int) -> list[dict[str, Any]]:
        contact = folder.contacts.get(uid)
        if contact is None:
            return []
        shown = show(call.box, contact, immutable=immutable)
        if names is None:
            return [shown]
        return [{name: shown[name] for name in ("@odata.etag", "id", *names) if name in shown}]

    return tell(call, token, folder.log, "contact", lines, lambda uid: call.box.removed_id(folder, uid, immutable=immutable))
