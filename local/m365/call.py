"""One request on its way through the stand-in: a single one or an item of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.m365.wire import Prefer, prefer

if TYPE_CHECKING:
    from local.m365.mailbox import Mailbox
    from local.m365.service import Microsoft365
    from local.m365.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an app in a tenant, with the permissions its token holds."""

    tenant: str
    app: str
    roles: frozenset[str]


@dataclass(slots=True)
class Call:
    """A request that found its route. `path` has no `/v1.0`; `params` are the decoded ids in it."""

    service: Microsoft365
    tenant: Tenant
    caller: Caller
    method: str
    path: str
    template: str
    params: tuple[str, ...]
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any
    base: str
    mailbox: Mailbox | None = None
    item: str | None = None  # id within its batch

    @property
    def prefer(self) -> Prefer:
        """The preferences of this request; a batch item has its own."""
        return prefer(self.headers.get("prefer", ""))

    @property
    def mailbox_id(self) -> str:
        """The mailbox's owner, or nothing."""
        return self.mailbox.owner if self.mailbox is not None else ""

    @property
    def tenant_id(self) -> str:
        """The tenant."""
        return self.tenant.id

    @property
    def box(self) -> Mailbox:
        """The mailbox of a mailbox path."""
        assert self.mailbox is not None
        return self.mailbox

    def link(self, options: str) -> str:
        """An absolute link to this path with other options."""
        return f"{self.base}/v1.0{self.path.partition('?')[0]}?{options}"

    def context(self, tail: str) -> str:
        """An `@odata.context`."""
        return f"{self.base}/v1.0/$metadata#{tail}"
