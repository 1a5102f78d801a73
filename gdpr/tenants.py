"""Everything about a tenant goes, at the end of its connection. May stop half-way and be run again."""

from __future__ import annotations

from typing import cast

from gdpr.audit_chain import SYSTEM, TENANT_ERASED, WITNESS, row_of
from gdpr.audit_trail import newest_link, record
from gdpr.encryption import TenantKeyring
from gdpr.retention import Deleted, delete_rows
from sync_core.engine.context import Context
from sync_core.ports import Remove
from sync_core.state import names
from sync_core.state.names import partitions_of

KEPT = frozenset({names.AUDIT, names.DEPARTURES})
"""What outlives the rest: the audit trail for as long as its own retention says, sealed under a key that is gone; and the note
that the tenant is being erased, until it is."""

REMAINS = (
    "the audit trail: times and actions; who did what to what is sealed under the key that was destroyed",
    "invoices and what law makes a seller keep of them, at the payment provider and in the accounts",
    "ids of processed payment events, for 60 days",
)


async def erase_tenant(context: Context, tenant: str) -> Deleted:
    """Destroy a tenant's keys, and with them every copy of what they sealed, then delete its rows and files; then the receipt."""
    deleted = Deleted()
    tables = context.tables
    await cast("TenantKeyring", context.keyring).destroy(tenant)
    start, end = partitions_of(tenant)
    everywhere = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
    for table in sorted(everywhere - KEPT, key=lambda table: table == names.TENANTS):
        deleted[table] += await delete_rows(tables, table, tables.query(table, tenant, select=()))
        rows = tables.scan(table, partitions_from=start, partitions_to=end, select=())
        deleted[table] += await delete_rows(tables, table, rows)
    deleted["exports"] += await context.blobs.delete(f"{tenant}/")
    if not await _has_receipt(context, tenant):
        counts = {name: count for name, count in sorted(deleted.items()) if count}
        details = {"deleted": counts, "remains": REMAINS}
        await record(context, tenant, actor=SYSTEM, action=TENANT_ERASED, after=details, outlives=True)
    await tables.commit(names.TENANTS, tenant, [Remove(WITNESS)])
    return deleted


async def _has_receipt(context: Context, tenant: str) -> bool:
    """Whether nothing has happened since the tenant was erased: an attempt before this one died after its receipt."""
    link = await newest_link(context.tables, tenant)
    entity = await context.tables.get(names.AUDIT, tenant, row_of(link.sequence)) if link is not None else None
    return entity is not None and entity.values["Action"] == TENANT_ERASED
