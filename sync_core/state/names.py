"""The tables, and what their retention needs to know of them. A table's name may hold letters and digits only."""

from __future__ import annotations

TENANTS = "tenants"  # tenant / "tenant"; "keys"
SYNCS = "syncs"  # tenant / sync
REPLICAS = "replicas"  # tenant:sync / mailbox
REFUSALS = "refusals"  # tenant:sync / mailbox
SOURCES = "sources"  # tenant:source / page
SNAPSHOTS = "snapshots"  # tenant:sync / version:page
LEDGERS = "ledgers"  # tenant:sync / mailbox:bucket
RUNS = "runs"  # tenant / newest-first id
CHUNKS = "chunks"  # tenant:run / chunk
RESULTS = "results"  # tenant:run / chunk

CACHES = (SOURCES, SNAPSHOTS, LEDGERS)
"""What may be emptied at any moment. Each row's `ReadAt` says when its content was read from Microsoft."""

READ_AT = "ReadAt"  # in cache rows, heads included: the age of the oldest content they stand for
CREATED_AT = "CreatedAt"  # in chunks and results
FINISHED_AT = "FinishedAt"  # in runs, once they are final
