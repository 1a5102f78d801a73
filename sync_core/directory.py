"""Directory users: what we ask Microsoft for, what of it we keep, and who is a person or a target by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS = (
    "displayName",
    "givenName",
    "surname",
    "companyName",
    "department",
    "jobTitle",
    "officeLocation",
    "mobilePhone",
    "mail",
    "userPrincipalName",
    "streetAddress",
    "city",
    "state",
    "postalCode",
    "country",
    "usageLocation",
    "userType",
    "employeeType",
)
_LISTS = ("businessPhones", "proxyAddresses")
_FLAGS = ("accountEnabled", "isResourceAccount")
_EXTENSIONS = "onPremisesExtensionAttributes"

EXTENSION_ATTRIBUTES = tuple(f"extensionAttribute{number}" for number in range(1, 16))

SELECT: tuple[str, ...] = ("id", *TEXTS, *_LISTS, *_FLAGS, "assignedPlans", _EXTENSIONS)
"""The properties to ask of /users/delta, all of them in the directory's own store: only those it tracks.

https://learn.microsoft.com/graph/delta-query-overview#properties-stored-outside-of-the-main-data-store
"""

_KEPT = (*SELECT[:-2], "mailbox", *EXTENSION_ATTRIBUTES)

_USABLE = ("Enabled", "Warning")
"""Plan states "for normal use", the second in its grace period.

https://learn.microsoft.com/graph/api/resources/assignedplan
"""


_FOUNDATION = "113feb6c-3fe4-4440-bddc-54d774bf0318"
"""EXCHANGE_S_FOUNDATION comes with licences that have no mailbox (Power BI, Project, ...), as a plan of the service exchange.

https://learn.microsoft.com/entra/identity/users/licensing-service-plan-reference
"""


def merge(previous: Mapping[str, Any] | None, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Bring what we keep of a user up to date with one object of a delta.

    A property that `raw` lacks is unchanged, one that is null or empty is cleared. `assignedPlans` becomes the boolean `mailbox`,
    and the extension attributes, which come together in one object, properties like any other. The result holds nothing empty and
    has its properties in one order, so that equal users are equal bytes.
    """
    kept = dict(previous or {})
    kept["id"] = raw["id"]
    for name in TEXTS:
        if name in raw:
            kept[name] = (raw[name] or "").strip()
    for name in _LISTS:
        if name in raw:
            kept[name] = [value.strip() for value in raw[name] or () if value and value.strip()]
    if "proxyAddresses" in raw:
        kept["proxyAddresses"] = sorted(value for value in kept["proxyAddresses"] if value[:5].lower() == "smtp:")
    for name in _FLAGS:
        if name in raw:
            kept[name] = raw[name]
    if _EXTENSIONS in raw:
        extensions = raw[_EXTENSIONS] or {}
        if previous or any(extensions.values()):
            for name in EXTENSION_ATTRIBUTES:
                kept[name] = (extensions.get(name) or "").strip()
    if "assignedPlans" in raw:
        kept["mailbox"] = any(_is_mailbox_plan(plan) for plan in raw["assignedPlans"] or ())
    return {name: value for name in _KEPT if (value := kept.get(name))}


def has_usable_mailbox(user: Mapping[str, Any]) -> bool:
    """Whether the user is a target by default: an enabled member with an Exchange Online plan. Only a request proves it."""
    # userType is missing on accounts older than the property: those are members
    return user.get("accountEnabled") is True and user.get("userType") != "Guest" and bool(user.get("mailbox"))


def _is_mailbox_plan(plan: Mapping[str, Any]) -> bool:
    return (
        plan.get("service") == "exchange" and plan.get("capabilityStatus") in _USABLE and plan.get("servicePlanId") != _FOUNDATION
    )
