"""What the delta queries of contacts and of calendar views have in common (graph/delta-query-overview)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.m365 import delta, odata
from local.m365.call import Call
from local.m365.changes import ChangeLog
from local.m365.faults import FaultKind
from local.m365.wire import Reply


def resume(call: Call, resource: str) -> delta.Token | None:
    """The token that the query goes on with; None at the beginning. Outlook's tokens have no fixed life. Raises GraphError."""
    text = call.query.get("$deltatoken") or call.query.get("$skiptoken")
    if not text:
        return None
    faults = call.service.faults
    odata.allow(call.query, "$deltatoken", "$skiptoken")
    token = delta.decode(text, resource)
    struck = faults.strike(frozenset({FaultKind.TOKEN_EXPIRED}), call)
    if struck is not None:
        raise delta.expired(struck.style, call.link("$deltatoken="))
    if token.final:
        token.base, token.full, token.final = token.position, False, False
        if faults.strike(frozenset({FaultKind.REPLAYED}), call):
            token.position = token.base = max(0, token.position - 5)
    return token


def tell(
    call: Call,
    token: delta.Token,
    log: ChangeLog[int],
    kind: str,
    lines: Callable[[int], list[dict[str, Any]]],
    removed_id: Callable[[int], str],
) -> Reply:
    """One page. `lines` is what there is to tell of an object, nothing when it is gone; they all stand on one page."""
    faults = call.service.faults
    token.issued = call.service.now().timestamp()
    told: list[dict[str, Any]] = []
    content: dict[str, Any] = {"@odata.context": call.context(f"Collection({kind})"), "value": told}
    if faults.strike(frozenset({FaultKind.EMPTY_PAGE}), call):
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
        return Reply(200, content)
    removed_early = faults.strike(frozenset({FaultKind.REMOVED_EARLY}), call) is not None
    more = False
    for change in log.since(token.position, token.base, None, full=token.full):
        if len(told) >= token.page:
            more = True
            break
        token.position = change.sequence
        found = lines(change.key)
        if found:
            told += found
        elif removed_early or not token.full or change.sequence > token.base:
            removed = {"id": removed_id(change.key), "@removed": {"reason": "deleted"}}
            told.append({"@odata.type": f"#microsoft.graph.{kind}", **removed})
    if told and faults.strike(frozenset({FaultKind.REPEATED}), call):
        told.append(told[0])
    if more:
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
    else:
        token.position, token.final = max(token.position, log.sequence), True
        content["@odata.deltaLink"] = call.link(f"$deltatoken={token.encode()}")
    return Reply(200, content)
