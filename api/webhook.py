"""The tenant's webhook: where notifications go."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from api.endpoint import ADMINS, Audit, Call, Endpoints, Strict
from sync_core.errors import NotFoundError
from sync_core.notices import Kind
from tenancy import webhooks

endpoints = Endpoints("Webhook")


class WebhookSet(Strict):
    """Where notifications go, and which."""

    url: Annotated[str, StringConstraints(max_length=2000)] = Field(description="https, a public name, the usual port")
    types: list[Kind] = Field(default=list(Kind))


class WebhookShown(BaseModel):
    """The webhook and how it goes."""

    url: str
    types: list[Kind]
    key: str | None = Field(description="The signing key in base64: only right after it was made, and never again")
    delivered_at: datetime | None = Field(description="When something last arrived")
    failed_at: datetime | None = Field(description="When something last did not")
    problem: str | None = Field(description="Why it did not: a status or a word")
    given_up: int = Field(description="How many notifications never arrived")


@endpoints.get("webhook", roles=ADMINS)
async def read_webhook(call: Call) -> WebhookShown:
    """Where notifications go, and how it goes."""
    return await _shown(call)


@endpoints.put("webhook", roles=ADMINS, audits="webhook.replaced")
async def replace_webhook(call: Call, body: WebhookSet, audit: Audit) -> WebhookShown:
    """Set the webhook, or another address for it. The first time the answer has the signing key."""
    webhooks.check_url(body.url)
    known = await webhooks.kinds_of(call.context, call.tenant)
    # an address may hold a password: only that it is another one
    await audit(before={"types": sorted(known)}, after={"types": sorted(body.types), "address": "set"})
    key = await webhooks.set_up(call.context, call.tenant, body.url, body.types)
    return await _shown(call, key)


@endpoints.post("webhook/key", roles=ADMINS, audits="webhook.key_made")
async def make_webhook_key(call: Call) -> WebhookShown:
    """Make a new signing key. For a day the old one signs as well."""
    return await _shown(call, await webhooks.rotate(call.context, call.tenant))


@endpoints.delete("webhook", roles=ADMINS, audits="webhook.removed")
async def remove_webhook(call: Call) -> None:
    """Send no notifications any more."""
    await webhooks.remove(call.context, call.tenant)


async def _shown(call: Call, key: str = "") -> WebhookShown:
    webhook = await webhooks.load(call.context, call.tenant)
    if webhook is None:
        raise NotFoundError("there is no webhook")
    delivery = await webhooks.delivery_of(call.context, call.tenant)
    return WebhookShown(
        url=webhook.url,
        types=sorted(webhook.kinds),
        key=key or None,
        delivered_at=delivery.delivered_at,
        failed_at=delivery.failed_at,
        problem=delivery.problem or None,
        given_up=delivery.given_up,
    )
