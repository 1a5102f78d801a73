"""What is stored where, about whom, what for and for how long: the one place that says so.

The record of processing, the privacy notice and the manifest of exports are made from it, and a test looks at real rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sync_core.state import names


class Category(StrEnum):
    """What kind of data a property holds."""

    PLAIN = "no personal data"
    ID = "object ids (pseudonymous)"
    HASH = "keyed hashes (pseudonymous)"
    KEY = "wrapped keys"
    CONTENT = "names and contact data"
    SETTINGS = "settings, which may name people"
    ACTOR = "who did something, by object id"
    REQUEST = "who asked for what, about whom"


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why data are processed, and on what lawful basis (GDPR, article 6)."""

    what: str
    basis: str
    role: str = "processor for the customer"


MIRROR = Purpose(
    "keeping the customer's address book on its employees' phones",
    "the customer's: as a rule its legitimate interest in being able to reach colleagues (Art. 6(1)(f))",
)
OPERATE = Purpose(
    "running, explaining and repairing syncs",
    "the customer's: as a rule its legitimate interest in a working service (Art. 6(1)(f))",
)
RIGHTS = Purpose("serving the rights of the people concerned", "legal obligation (Art. 6(1)(c) with Art. 12 to 22)")
PROVE = Purpose("proving who did what", "legal obligation to be able to demonstrate compliance (Art. 6(1)(c) with Art. 5(2))")

DIRECTORY = "people in the customer's directory, shared mailboxes, uploads and pushed items"
EMPLOYEES = "employees whose mailboxes are served"
USERS = "administrators and compliance officers"
RECIPIENTS = "employees of the customer whose mailboxes are targets of the sync; Microsoft, as the customer's processor"
NOBODY = "nobody outside the service"
CACHE = "58 days after it was read from Microsoft or received, at most 60; sooner where the sync is purged after each run"


@dataclass(frozen=True, slots=True)
class Stored:
    """One table. A property name that ends in * stands for all that begin so; `sealed` are those that are encrypted.

    `keys` says what is in partition and row key.
    """

    table: str
    what: str
    subjects: str
    purpose: Purpose
    retention: str
    recipients: str
    keys: Category
    properties: Mapping[str, Category]
    sealed: frozenset[str] = field(default_factory=frozenset)

    def category(self, name: str) -> Category | None:
        """The category of a property; None when the map does not know it."""
        return next((category for known, category in self.properties.items() if _is(known, name)), None)

    def is_sealed(self, name: str) -> bool:
        """Whether a property is encrypted."""
        return any(_is(known, name) for known in self.sealed)


def _is(known: str, name: str) -> bool:
    return name.startswith(known[:-1]) if known.endswith("*") else name == known


def _plain(*properties: str) -> dict[str, Category]:
    return dict.fromkeys(properties, Category.PLAIN)


_PAGES = {"Page*": Category.CONTENT, **_plain(names.READ_AT)}
_SEALED_PAGES = frozenset({"Page*"})

DATA_MAP: tuple[Stored, ...] = (
    Stored(
        names.TENANTS,
        "connected tenants: settings, state, wrapped keys",
        USERS,
        OPERATE,
        "while connected; the key and the end of the audit trail as long as the trail",
        NOBODY,
        Category.ID,
        {
            "Settings": Category.SETTINGS,
            **dict.fromkeys(("DataKey", "FormerDataKey", "NextDataKey"), Category.KEY),
            **dict.fromkeys(("FingerprintKey", "SuppressionKey"), Category.KEY),
            "Hash": Category.HASH,
            "By": Category.ACTOR,
            **dict.fromkeys(("Url", "Key", "PreviousKey"), Category.SETTINGS),
            **_plain(
                "At", "Region", "Roles", "Findings", "Kinds", "PreviousUntil", "DeliveredAt", "FailedAt", "Problem", "GivenUp"
            ),
            **_plain("RotatedAt", "Cursor"),
            **_plain("Stopped", "MasterKey", "Epoch", "Sequence", "Tag", "Until", "Used", "Scope", "ReadAt"),
        },
        frozenset({"Settings", "Url", "Key", "PreviousKey"}),
    ),
    Stored(
        names.SYNCS,
        "definitions of syncs and what they remember",
        "people whom a definition names",
        OPERATE,
        "the sync's life",
        NOBODY,
        Category.ID,
        {
            "Definition": Category.SETTINGS,
            **_plain("Revision", "Deleting", "KeepContacts", "Ended", "Paused", "NextRun", "Active*", "Rerun*"),
            **_plain("Held", "People", "Targets", "Sources", "Forecast", "Resolved", "Buckets"),
            **_plain("Released*"),
        },
        frozenset({"Definition"}),
    ),
    Stored(
        names.REPLICAS,
        "which mailboxes hold something of a sync, and in what state",
        EMPLOYEES,
        MIRROR,
        "until the mailbox is clean",
        NOBODY,
        Category.ID,
        {
            **dict.fromkeys(("Folder", "LeftFolder"), Category.ID),
            **_plain(
                "State",
                "Reason",
                "FolderName",
                "FolderColor",
                "Applied",
                "Dirty",
                "LookAfter",
                "Due",
                "GoneSince",
                "Owner",
                "OwnedUntil",
            ),
        },
    ),
    Stored(
        names.REFUSALS,
        "what users deleted for good, under the policy respect",
        EMPLOYEES,
        MIRROR,
        "until the mailbox is clean",
        NOBODY,
        Category.ID,
        {"Hashes*": Category.HASH},
    ),
    Stored(
        names.CHOICES,
        "which lists employees have chosen for themselves, and which fields of their own cards they hide",
        EMPLOYEES,
        MIRROR,
        "the sync's life; hidden fields until they are shown again; both at most until the employee is erased",
        NOBODY,
        Category.ID,
        {"Choice": Category.PLAIN, "Hidden": Category.SETTINGS},
        frozenset({"Hidden"}),
    ),
    Stored(
        names.SOURCES,
        "what each source last said, uploads, pushed items and people's photos included",
        DIRECTORY,
        MIRROR,
        CACHE,
        NOBODY,
        Category.ID,
        _PAGES,
        _SEALED_PAGES,
    ),
    Stored(
        names.SNAPSHOTS,
        "contacts ready to be written, those before the last change, and digests of what they were made from",
        DIRECTORY,
        MIRROR,
        CACHE,
        RECIPIENTS,
        Category.ID,
        _PAGES,
        _SEALED_PAGES,
    ),
    Stored(
        names.LEDGERS,
        "which item of a mailbox stands for whom, by ids",
        EMPLOYEES,
        MIRROR,
        CACHE,
        NOBODY,
        Category.ID,
        {**dict.fromkeys(("Head", "Bucket*"), Category.CONTENT), **_plain(names.READ_AT)},
        frozenset({"Head", "Bucket*"}),
    ),
    Stored(
        names.RUNS,
        "runs: outcomes and counts",
        "nobody",
        OPERATE,
        "1 year, unless set otherwise (30 to 730 days)",
        NOBODY,
        Category.ID,
        {
            "Detail": Category.SETTINGS,
            **_plain("Sync", "RequestedAt", "State", "Reason", "Check", "StartedAt", "EndedAt", "Chunks", "People", "Targets"),
            **_plain("SetAside", "Sources", "Outcomes", "Reasons", "Counts", "Spent", "Released", "Would", "Base", "Undoes"),
            **_plain("Plan", "Cancelled*", "Photos", "PhotoProblem", "SourceProblem"),
        },
        frozenset({"Detail"}),
    ),
    Stored(
        names.CHUNKS,
        "what a run did in each mailbox",
        EMPLOYEES,
        OPERATE,
        "58 days, at most 60",
        NOBODY,
        Category.ID,
        {
            **dict.fromkeys(("Replicas", "Results", "Carried"), Category.ID),
            **_plain("Done", "Failed", "Part", "Spent", "LookAfter"),
        },
        frozenset({"Replicas", "Results", "Carried"}),
    ),
    Stored(
        names.POISON,
        "queue messages that were given up, by ids",
        "nobody",
        OPERATE,
        "58 days, at most 60",
        NOBODY,
        Category.ID,
        _plain("Queue", "Detail", "At"),
    ),
    Stored(
        names.SUPPRESSIONS,
        "whom no sync may bring into a mailbox",
        DIRECTORY,
        RIGHTS,
        "until lifted",
        NOBODY,
        Category.HASH,
        _plain("Kind", "Request", "At"),
    ),
    Stored(
        names.REQUESTS,
        "privacy requests: what was asked for, how far it has got, counts",
        "the person a request is about, and who made and confirmed it",
        RIGHTS,
        "3 years after the end, unless set otherwise (1 to 10); whom it was about until it is done, of an export 7 days more",
        NOBODY,
        Category.ID,
        {
            "Sealed": Category.REQUEST,
            **_plain("Kind", "State", "RequestedAt", "DueAt", "Extended", "Warned", "Step", "Rounds", "Epoch", "Counts"),
            **_plain("Receipt", "ReceiptHash", "Parts", "ExpiresAt", "StartedAt", "EndedAt"),
        },
        frozenset({"Sealed"}),
    ),
    Stored(
        names.AUDIT,
        "the audit trail",
        USERS,
        PROVE,
        "3 years, unless set otherwise (1 to 10 years)",
        NOBODY,
        Category.ID,
        {
            "Actor": Category.ACTOR,
            "Details": Category.SETTINGS,
            "AuditKey": Category.KEY,
            **dict.fromkeys(("ActorTag", "ActorCommitment", "DetailsCommitment", "Previous", "Hash", "Tag"), Category.HASH),
            **_plain("Sequence", "At", "Action", "MasterKey"),
        },
        frozenset({"Actor", "Details"}),
    ),
    Stored(
        names.NOTICES,
        "notices to the customer's webhook",
        "nobody",
        OPERATE,
        "58 days, at most 60",
        "the customer's webhook",
        Category.ID,
        _plain("Kind", "Sync", "Run", "Reason", "Request", "At", "State", "Attempts", "Problem", "SentAt", "Next*"),
    ),
    Stored(
        names.DEPARTURES,
        "disconnections under way",
        USERS,
        OPERATE,
        "until the tenant is erased",
        NOBODY,
        Category.ID,
        {"By": Category.ACTOR, **_plain("At", "Remove", "Erasing")},
    ),
    Stored(
        names.PARTNERS,
        "which partner may act for which customer",
        "nobody",
        OPERATE,
        "until the customer takes it back",
        NOBODY,
        Category.ID,
        {"By": Category.ACTOR, **_plain("Roles", "At")},
    ),
    Stored(
        names.ANSWERS,
        "answers to requests with an Idempotency-Key",
        USERS,
        OPERATE,
        "24 hours",
        NOBODY,
        Category.HASH,
        {"Request": Category.HASH, "Answer": Category.SETTINGS, **_plain("At")},
        frozenset({"Answer"}),
    ),
)

OUTSIDE_TABLES: Mapping[str, str] = {
    "blob container `exports`": "finished exports, encrypted; deleted after 7 days, or with the person",
    "queues": "ids of tenant, sync, run, chunk or request; nothing personal",
    "logs and traces": "object ids, counts, reasons; kept as long as the Log Analytics workspace says (30 days)",
    "mailboxes": "the contacts themselves, in the customer's own Microsoft 365",
}


def stored_in(table: str) -> Stored | None:
    """What the map says of a table; None when it does not know it."""
    return next((stored for stored in DATA_MAP if stored.table == table), None)


def unknown(table: str, properties: Mapping[str, object]) -> list[str]:
    """The properties of a row that the map does not know: there must be none."""
    stored = stored_in(table)
    if stored is None:
        return [table]
    return [f"{table}.{name}" for name in properties if stored.category(name) is None]
