"""Which properties Graph knows, read off the models of msgraph-sdk, and the refusal of bodies that say anything else.

Microsoft's SDK is generated from the service's own schema: what its model cannot hold, the service does not know. Parsing is
slow, so verdicts are kept by the shape of a body: the names in it, the JSON types of their values, and the words of enumerations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any

import orjson

from local.m365.wire import GraphError

Shape = Any  # a nested, hashable picture of a JSON value

# graph/api/resources/contact and .../contactfolder: what the page calls read-only, or what only the service can know.
READ_ONLY = {
    "contact": {
        "id",
        "createdDateTime",
        "lastModifiedDateTime",
        "changeKey",
        "parentFolderId",
        "extensions",
        "photo",
        "multiValueExtendedProperties",
        "primaryEmailAddress",
        "secondaryEmailAddress",
        "tertiaryEmailAddress",
    },
    "contactFolder": {"id", "parentFolderId", "childFolders", "contacts", "multiValueExtendedProperties"},
    # graph/api/resources/event and .../calendar
    "event": {
        *("id", "createdDateTime", "lastModifiedDateTime", "changeKey", "bodyPreview", "iCalUId", "type", "seriesMasterId"),
        *("originalStart", "originalStartTimeZone", "originalEndTimeZone", "isOrganizer", "isCancelled", "isDraft", "webLink"),
        *("onlineMeeting", "onlineMeetingUrl", "responseStatus", "hasAttachments", "cancelledOccurrences"),
        *("exceptionOccurrences", "instances", "calendar", "extensions", "attachments", "multiValueExtendedProperties"),
    },
    "calendar": {
        *("id", "changeKey", "canEdit", "canShare", "canViewPrivateItems", "hexColor", "isRemovable", "isTallyingResponses"),
        *("owner", "events", "calendarView", "calendarPermissions", "allowedOnlineMeetingProviders"),
        *("isDefaultCalendar", "multiValueExtendedProperties"),
    },
    "user": {"deletedDateTime"},
    "group": {"deletedDateTime"},
    "orgContact": {"deletedDateTime"},
}
_MODULES = {
    "contact": "contact",
    "contactFolder": "contact_folder",
    "event": "event",
    "calendar": "calendar",
    "user": "user",
    "group": "group",
    "orgContact": "org_contact",
}
_DATES = ("birthday",)
# Properties that take only certain words: bodies of one shape that say different words are judged one by one.
_WORDS = frozenset(
    {
        *("color", "showAs", "sensitivity", "importance", "onlineMeetingProvider", "contentType", "response"),
        *("type", "index", "firstDayOfWeek", "daysOfWeek", "locationType", "uniqueIdType"),
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why bodies of one shape are refused; no `problem`: they are not."""

    problem: str = ""


_verdicts: dict[tuple[str, Shape], Verdict] = {}


def check_body(kind: str, body: Any) -> None:
    """Refuse a body that Graph would refuse. Raises GraphError 400 `RequestBodyRead`.

    See https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/450 for the code and the wording.
    """
    if not isinstance(body, dict):
        raise GraphError(400, "BadRequest", "Empty Payload. JSON content expected.")
    key = (kind, _shape(body))
    verdict = _verdicts.get(key)
    if verdict is None:
        if len(_verdicts) > 20_000:
            _verdicts.clear()
        verdict = _verdicts[key] = Verdict(_problem(kind, body))
    if verdict.problem:
        raise GraphError(400, "RequestBodyRead", verdict.problem)
    for name in _DATES:
        if body.get(name) is not None:
            _check_date(name, body[name])


@cache
def properties(kind: str) -> frozenset[str]:
    """The names that may be selected."""
    return frozenset(name for name in _model(kind)().get_field_deserializers() if not name.startswith("@"))


@cache
def collections(kind: str) -> frozenset[str]:
    """The properties that hold lists: unset, they are empty and not null."""
    lists = (field.name for field in fields(_model(kind)) if str(field.type).startswith("Optional[list["))
    return frozenset(re.sub(r"_(\w)", lambda match: match[1].upper(), name) for name in lists) & properties(kind)


def _model(kind: str) -> Any:
    _spare_imports()
    module = import_module(f"msgraph.generated.models.{_MODULES[kind]}")
    return getattr(module, kind[0].upper() + kind[1:])


@cache
def _spare_imports() -> None:
    """Have the models' common base tell its two properties only.

    As generated, it first imports every model that there is, of which it uses none: over a second in each process.
    """
    from msgraph.generated.models.entity import Entity

    def deserializers(self: Entity) -> dict[str, Any]:
        return {
            "id": lambda node: setattr(self, "id", node.get_str_value()),
            "@odata.type": lambda node: setattr(self, "odata_type", node.get_str_value()),
        }

    Entity.get_field_deserializers = deserializers  # type: ignore[method-assign]


def _shape(value: Any, name: str = "") -> Shape:
    if isinstance(value, str):
        return value if name in _WORDS else "s"
    if isinstance(value, dict):
        return tuple([(inner, _shape(part, inner)) for inner, part in value.items()])
    if isinstance(value, list):
        return frozenset([_shape(part, name) for part in value])
    return type(value).__name__


def _check_date(name: str, value: str) -> None:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise GraphError(
            400, "RequestBodyRead", f"Cannot convert the literal '{value}' of '{name}' to the expected type."
        ) from None


def _problem(kind: str, body: dict[str, Any]) -> str:
    from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
    from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter

    known = f"Microsoft.OutlookServices.{kind[0].upper()}{kind[1:]}" if kind.startswith("contact") else f"microsoft.graph.{kind}"
    for name in body:
        if name in READ_ONLY[kind]:
            return f"The property '{name}' of type '{known}' is read-only and cannot be set."
    plain = _without_dates(body)
    try:
        root = JsonParseNodeFactory().get_root_parse_node("application/json", orjson.dumps(plain))
        model = root.get_object_value(_model(kind))
    except Exception:  # noqa: BLE001, RUF100 - whatever the SDK cannot parse, it raises errors of many kinds
        return "Cannot read the request body: a value does not have the type that its property has."
    if unknown := _unknown(model, known):
        return unknown
    writer = JsonSerializationWriter()
    writer.write_object_value(None, model)
    lost = _lost(plain, orjson.loads(writer.get_serialized_content()))
    return f"Cannot convert a literal to the expected type of property '{lost}'." if lost else ""


def _without_dates(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if not (name in _DATES and isinstance(value, str))}


def _unknown(model: Any, type_name: str) -> str:
    store = getattr(model, "backing_store", None)
    if store is None:
        return ""
    for name in getattr(model, "additional_data", {}):
        return (
            f"The property '{name}' does not exist on type '{type_name}'. "
            "Make sure to only use property names that are defined by the type or mark the type as open type."
        )
    for _, value in store.enumerate_():
        items = getattr(value, "items", None)
        for inner in items if isinstance(items, list) else [value]:
            if problem := _unknown(inner, type(inner).__name__):
                return problem
    return ""


def _lost(sent: Any, understood: Any) -> str:
    """The first property whose value did not survive the model: it has another type there."""
    if isinstance(sent, dict):
        for name, value in sent.items():
            if value is None:
                continue
            if not isinstance(understood, dict) or name not in understood:
                return str(name)
            if inner := _lost(value, understood[name]):
                return f"{name}" if inner == "." else f"{name}/{inner}"
        return ""
    if isinstance(sent, list):
        if not isinstance(understood, list) or len(sent) != len(understood):
            return "."
        return next((inner for a, b in zip(sent, understood, strict=True) if (inner := _lost(a, b))), "")
    return "" if type(sent) is type(understood) and sent is not None else "."


def warm_up() -> None:
    """Load the SDK's models now, so that the first request does not pay for it."""
    check_body("contact", {"displayName": "x", "emailAddresses": [{"address": "x@example.com"}]})
    check_body("contactFolder", {"displayName": "x"})
    properties("user")
