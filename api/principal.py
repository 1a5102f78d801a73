"""Who is asking, as their token says: the only place the tenant of a request comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """App roles, as the app registration declares them. A signed-in person without any may only use the `me` endpoints."""

    ADMIN = "Rollcall.Admin"
    COMPLIANCE = "Rollcall.Compliance"
    VIEWER = "Rollcall.Viewer"
    PUSH = "Rollcall.Push"  # automation that feeds push sources, and nothing else


@dataclass(frozen=True, slots=True)
class Principal:
    """A validated caller.

    `tenant` is the tenant the request acts on; `home` the one that issued the token. They differ only for a partner whom the
    customer has granted access. `object_id` is the person's or service principal's in `home`. `is_app` marks a service principal.
    """

    tenant: str
    home: str
    object_id: str
    roles: frozenset[Role]
    is_app: bool = False
