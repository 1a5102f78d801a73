"""Partners: another organisation that a customer lets act for it, with some roles, until it says otherwise.

What the customer's row says counts. The partner's list of customers only tells where to look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sync_core.engine.context import Context
from sync_core.errors import InputError, NotFoundError
from sync_core.ports import Entity, Put, Remove, Row, Tables
from sync_core.state.names import PARTNERS, TENANTS

MOST_PARTNERS = 20

_ROWS = ("partner:", "partner;")


@dataclass(frozen=True, slots=True)
class Grant:
    """A customer's word for a partner. `roles` are names of app roles; `by` is the object id of the admin who gave it."""

    customer: str
    partner: str
    roles: frozenset[str]
    by: str
    at: datetime


async def grant(context: Context, customer: str, partner: str, roles: Iterable[str], *, by: str) -> Grant:
    """Let a partner act for a customer with these roles, instead of those it had. Raises InputError."""
    if not _is_tenant(partner) or partner == customer:
        raise InputError("partner", "must be the id of another tenant: a lower-case GUID")
    made = Grant(customer, partner, frozenset(roles), by, context.now())
    if not made.roles:
        raise InputError("roles", "must name a role; to end a grant, delete it")
    known = [each.partner async for each in grants_of(context.tables, customer)]
    if partner not in known and len(known) >= MOST_PARTNERS:
        raise InputError("partner", f"there are {MOST_PARTNERS} already")
    # the list first: an entry without a grant means nothing
    await context.tables.commit(PARTNERS, partner, [Put(customer, {"At": made.at})])
    values: Row = {"Roles": ",".join(sorted(made.roles)), "By": by, "At": made.at}
    await context.tables.commit(TENANTS, customer, [Put(_ROWS[0] + partner, values)])
    return made


async def revoke(context: Context, customer: str, partner: str) -> None:
    """Let a partner act for a customer no longer, from the next request on. Raises NotFoundError."""
    if not _is_tenant(partner) or await context.tables.get(TENANTS, customer, _ROWS[0] + partner) is None:
        raise NotFoundError("this partner has no grant")
    await context.tables.commit(TENANTS, customer, [Remove(_ROWS[0] + partner)])
    await context.tables.commit(PARTNERS, partner, [Remove(customer)])


async def granted_roles(tables: Tables, customer: str, partner: str) -> frozenset[str]:
    """The roles that a customer has granted a partner; none without a grant, or where there is no such customer."""
    if not _is_tenant(customer) or not _is_tenant(partner):
        return frozenset()
    stored = await tables.get(TENANTS, customer, _ROWS[0] + partner)
    return _read(stored).roles if stored is not None else frozenset()


async def grants_of(tables: Tables, customer: str) -> AsyncIterator[Grant]:
    """A customer's partners, by id."""
    async for stored in tables.query(TENANTS, customer, start=_ROWS[0], end=_ROWS[1]):
        yield _read(stored)


async def customers_of(tables: Tables, partner: str) -> AsyncIterator[Grant]:
    """Who lets this partner act for them, by id."""
    async for entry in tables.query(PARTNERS, partner, select=()):
        stored = await tables.get(TENANTS, entry.row, _ROWS[0] + partner)
        if stored is not None:
            yield _read(stored)


def _read(stored: Entity) -> Grant:
    at = stored.values["At"]
    assert isinstance(at, datetime)
    roles = frozenset(str(stored.values["Roles"]).split(","))
    return Grant(stored.partition, stored.row.removeprefix(_ROWS[0]), roles, str(stored.values["By"]), at)


def _is_tenant(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
