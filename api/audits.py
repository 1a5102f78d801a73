"""From a request to an entry of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.endpoint import Call
from gdpr.audit_chain import Actor
from gdpr.audit_trail import record


async def append_entry(call: Call, action: str, *, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    """Note who is about to do what to which ids. When this cannot be written, nothing is done."""
    who = call.principal
    actor = Actor("app" if who.is_app else "user", who.object_id, who.home)
    subject = "/".join(call.request.route_params.values())
    await record(call.context, who.tenant, actor=actor, action=action, subject=subject, before=before, after=after)
