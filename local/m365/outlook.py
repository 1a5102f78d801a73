"""What contacts and contact folders have in common over Graph: pages, $select, $expand, folders in paths, extended properties.

graph/query-parameters, graph/paging, graph/api/singlevaluelegacyextendedproperty-get and -post-singlevalueextendedproperties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from local.m365 import odata
from local.m365.call import Call
from local.m365.mailbox import Folder, not_found
from local.m365.wire import GraphError, Reply

Thing = TypeVar("Thing")

PAGE = 10  # graph/api/user-list-contacts: the default page
LARGEST_PAGE = 999


def folder_at(call: Call) -> Folder:
    """The folder that the path names: the second parameter, or the last of a chain of child folders."""
    chain = call.params[1].split("\n")
    folder = call.box.find_folder(chain[0])
    for text in chain[1:]:
        child = call.box.find_folder(text)
        if child.parent is not folder:
            raise not_found()
        folder = child
    return folder


def extended_values(body: dict[str, Any]) -> dict[str, str]:
    """The single-value extended properties of a body: id, in its one spelling, to value. Raises GraphError."""
    entries = body.get(odata.EXTENDED)
    if not entries:
        return {}
    found: dict[str, str] = {}
    for entry in entries:
        key, value = entry.get("id"), entry.get("value")
        if not isinstance(key, str) or not isinstance(value, str):
            raise GraphError(400, "ErrorInvalidArgument", "An extended property needs an id and a value.")
        found[odata.property_id(key)] = value
    return found


def chosen(call: Call, kind: str, shown: dict[str, Any], extended: dict[str, str]) -> dict[str, Any]:
    """What of an object the query asks for."""
    names = odata.select(call.query, kind)
    if names is not None:
        etag = shown.get("@odata.etag")
        shown = {"id": shown["id"], **{name: shown[name] for name in names if name in shown}}
        if etag:
            shown["@odata.etag"] = etag
    if "$expand" in call.query:
        wanted = odata.expand_extended(call.query["$expand"])
        held = [{"id": key, "value": value} for key, value in extended.items() if key in wanted]
        if held:  # an object with none of them does not have the property at all
            shown[odata.EXTENDED] = held
    return shown


def page(call: Call, found: list[Thing], what: str, render: Callable[[Thing], dict[str, Any]]) -> Reply:
    """One page of a collection. Outlook pages by $skip: who deletes while paging misses items (graph/paging)."""
    size = odata.whole_number(call.query, "$top", 1, LARGEST_PAGE, min(call.prefer.max_page or PAGE, LARGEST_PAGE))
    skip = odata.whole_number(call.query, "$skip", 0, 2**31, 0)
    content: dict[str, Any] = {"@odata.context": context(call, what, "")}
    if call.query.get("$count", "").lower() == "true":
        content["@odata.count"] = len(found)
    content["value"] = [render(item) for item in found[skip : skip + size]]
    if skip + size < len(found):
        content["@odata.nextLink"] = call.link(odata.next_options(call.query, {"$top": str(size), "$skip": str(skip + size)}))
    return Reply(200, content)


def context(call: Call, what: str, tail: str) -> str:
    """The `@odata.context` of something in the call's mailbox."""
    return call.context(f"users('{call.box.owner}')/{what}{tail}")
