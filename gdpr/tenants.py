"""Everything about a tenant goes, at the end of its connection. May stop half-way and be run again."""

from __future__ import annotations

from gdpr.encryption import KEYS_ROW
from gdpr.retention import Deleted, delete_rows
from sync_core.ports import Remove, Tables
from sync_core.state import names
from sync_core.state.names import partitions_of

KEPT = frozenset({names.AUDIT, names.DEPARTURES})
"""What outlives the rest: the audit trail for as long as its own retention says, sealed under a key that is gone; and the note
that the tenant is being erased, until it is."""


async def erase_tenant(tables: Tables, tenant: str) -> Deleted:
    """Destroy a tenant's keys, and with them every copy of what they sealed, then delete its rows; the tenant's own row last."""
    deleted = Deleted()
    await tables.commit(names.TENANTS, tenant, [Remove(KEYS_ROW)])
    start, end = partitions_of(tenant)
    everywhere = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
    for table in sorted(everywhere - KEPT, key=lambda table: table == names.TENANTS):
        deleted[table] += await delete_rows(tables, table, tables.query(table, tenant, select=()))
        rows = tables.scan(table, partitions_from=start, partitions_to=end, select=())
        deleted[table] += await delete_rows(tables, table, rows)
    return deleted
