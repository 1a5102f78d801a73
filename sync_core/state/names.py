"""The tables, and what their retention needs to know of them. A table's name may hold letters and digits only."""

from __future__ import annotations

TENANTS = "tenants"  # tenant / "tenant"; "keys"; what is known of the connection: see tenancy
SYNCS = "syncs"  # tenant / sync
REPLICAS = "replicas"  # tenant:sync / mailbox
REFUSALS = "refusals"  # tenant:sync / mailbox
CHOICES = "choices"  # tenant:sync / mailbox; tenant:"_card" / user
SOURCES = "sources"  # tenant:source / page
SNAPSHOTS = "snapshots"  # tenant:sync / version:page
LEDGERS = "ledgers"  # tenant:sync / mailbox:number of eight buckets
RUNS = "runs"  # tenant / run; the ids sort the newest first
CHUNKS = "chunks"  # tenant:run / chunk
POISON = "poison"  # tenant / newest first
SUPPRESSIONS = "suppressions"  # tenant / keyed hash:request
REQUESTS = "requests"  # tenant / newest first
AUDIT = "audit"  # tenant / "e:" sequence; "o:" idempotency hash; "head"; "anchor"; "key"
NOTICES = "notices"  # tenant / notice
DEPARTURES = "departures"  # tenant / "departure"; outlives all else of the tenant, so that its erasure is gone on with
PARTNERS = "partners"  # the partner's tenant / customer
ANSWERS = "answers"  # tenant / keyed digest of an idempotency key

CACHES = (SOURCES, SNAPSHOTS, LEDGERS)
"""What may be emptied at any moment."""

READ_AT = "ReadAt"
"""In every row of a cache, heads included: when the oldest content it stands for was read from Microsoft."""

ENDED_AT = "EndedAt"
"""In runs, once they are final."""


def partition(tenant: str, part: str) -> str:
    """The partition key of what belongs to a part of a tenant: a source, a sync or a run."""
    return f"{tenant}:{part}"


def partitions_of(tenant: str) -> tuple[str, str]:
    """The bounds (from, to) of all partition keys that `partition` makes for a tenant."""
    return f"{tenant}:", f"{tenant};"
