"""What happened reaches the tenant's webhook: signed, once or more, later if need be, or it is given up where one sees it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from gdpr.retention import purge_expired
from gdpr.rotation import advance, begin_rotation
from sync_core import messages
from sync_core.engine import runs
from sync_core.errors import InputError, NotFoundError, Reason
from sync_core.model import RunState
from sync_core.notices import Kind, Notice
from tenancy import notices, webhooks
from tenancy.services import UnreachableError
from tests.engine.world import SYNC, TENANT
from tests.tenancy.conftest import Sent, Site

URL = "https://hooks.example/rollcall?token=7f3a"
ALL = frozenset(Kind)


def genuine(key: bytes, header: str, body: bytes, now: float) -> bool:
    """The example in docs/notifications.md."""
    parts = [part.split("=", 1) for part in header.split(",")]
    sent = next(value for name, value in parts if name == "t")
    made = hmac.new(key, sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    fresh = abs(now - int(sent)) <= 300
    return fresh and any(hmac.compare_digest(made, value) for name, value in parts if name == "v1")


class Listening(Site):
    """A tenant with a webhook."""

    key: bytes

    async def listen(self, kinds: frozenset[Kind] = ALL) -> None:
        self.key = base64.b64decode(await webhooks.set_up(self.world.context, TENANT, URL, kinds))

    def proves(self, sent: Sent, key: bytes | None = None) -> bool:
        return genuine(key or self.key, sent.headers["Rollcall-Signature"], sent.body, self.world.clock.now().timestamp())

    async def state(self, notice: str) -> str:
        row = await self.world.tables.get("notices", TENANT, notice)
        assert row is not None
        return str(row.values["State"])


@pytest.fixture
async def listening() -> Listening:
    site = Listening()
    await site.listen()
    site.world.context = site.working()
    return site


def told(site: Site) -> list[dict[str, Any]]:
    return [json.loads(sent.body) for sent in site.webhook.sent]


async def test_the_end_of_a_run_is_told(listening: Listening) -> None:
    world = listening.world
    world.hire("Anna Berg")
    await world.connect()
    run = await world.run()
    await listening.settle()
    [sent] = listening.webhook.sent
    assert sent.url == URL
    assert sent.headers["Content-Type"] == "application/json"
    assert listening.proves(sent)
    assert not listening.proves(sent, b"another key")
    [body] = told(listening)
    assert body == {
        "id": run.run,
        "type": "run.finished",
        "time": body["time"],
        "tenant": TENANT,
        "sync": SYNC,
        "run": run.run,
    }
    assert "Anna" not in str(sent)
    assert await listening.state(run.run) == "delivered"


async def test_a_held_run_a_failed_one_and_lost_consent(listening: Listening) -> None:
    world = listening.world
    people = world.hire_many(20)
    await world.connect()
    await world.run()
    for person in people[:15]:
        world.tenant.remove_user(person)
    held = await world.run()
    assert held.state is RunState.HELD
    world.tenant.app.consent = "revoked"
    world.clock.advance(timedelta(hours=2))
    failed = await world.run()
    assert failed.state is RunState.FAILED
    await listening.settle()
    assert sorted((one["type"], one.get("reason", "")) for one in told(listening)) == [
        ("consent.lost", "consent_missing"),
        ("run.failed", "consent_missing"),
        ("run.finished", ""),
        ("run.held", "source_dropped"),
    ]
    lost = next(one for one in told(listening) if one["type"] == "consent.lost")
    assert (lost["id"].startswith("stopped-"), "run" in lost) == (True, False)


async def test_a_tenant_that_is_stopped_again_and_again_hears_of_it_once(listening: Listening) -> None:
    await listening.world.connect()
    for _ in range(3):
        await runs.stop_tenant(listening.world.context, TENANT, Reason.CONSENT_MISSING)
    await listening.settle()
    assert [one["type"] for one in told(listening)] == ["consent.lost"]


async def test_only_what_was_asked_for_is_told() -> None:
    site = Listening()
    await site.listen(frozenset({Kind.RUN_HELD}))
    await notices.note(site.world.context, Notice(TENANT, "one", Kind.RUN_FINISHED))
    await notices.note(site.world.context, Notice(TENANT, "two", Kind.RUN_HELD))
    await site.settle()
    assert [one["id"] for one in told(site)] == ["two"]
    await webhooks.remove(site.world.context, TENANT)
    await notices.note(site.world.context, Notice(TENANT, "three", Kind.RUN_HELD))
    await site.settle()
    assert len(told(site)) == 1


async def test_a_privacy_request_that_is_due_soon_is_told_by_its_id(listening: Listening) -> None:
    await notices.note(listening.world.context, Notice(TENANT, "due-r1-20261202", Kind.REQUEST_DUE, request="r1"))
    await listening.settle()
    [one] = told(listening)
    assert (one["type"], one["request"], one["id"]) == ("request.due_soon", "r1", "due-r1-20261202")


async def test_what_is_told_twice_is_sent_once(listening: Listening) -> None:
    notice = Notice(TENANT, "one", Kind.RUN_HELD)
    await notices.note(listening.world.context, notice)
    await notices.note(listening.world.context, notice)  # who noted it first may have died before it was sent
    await listening.settle()
    await notices.note(listening.world.context, notice)
    await listening.settle()
    assert len(listening.webhook.sent) == 1


async def test_what_does_not_arrive_is_sent_again_later_and_later(listening: Listening) -> None:
    world = listening.world
    listening.webhook.answers = [500, UnreachableError("timeout"), 301, 204]
    begun = world.clock.now()
    await notices.note(world.context, Notice(TENANT, "one", Kind.RUN_HELD))
    await listening.settle()
    assert len(listening.webhook.sent) == 4
    assert world.clock.now() - begun == timedelta(seconds=sum(notices.BACKOFF[:3]))
    assert all(listening.proves(sent) for sent in listening.webhook.sent[-1:])
    delivery = await webhooks.delivery_of(world.context, TENANT)
    assert (delivery.delivered_at, delivery.problem, delivery.given_up) == (world.clock.now(), "status 301", 0)


async def test_what_never_arrives_is_given_up_where_it_can_be_seen(listening: Listening) -> None:
    listening.webhook.answers = [410] * 20
    await notices.note(listening.world.context, Notice(TENANT, "one", Kind.RUN_HELD))
    await listening.settle()
    assert len(listening.webhook.sent) == len(notices.BACKOFF) + 1
    assert await listening.state("one") == "given_up"
    delivery = await webhooks.delivery_of(listening.world.context, TENANT)
    assert (delivery.delivered_at, delivery.problem, delivery.given_up) == (None, "status 410", 1)
    assert delivery.failed_at is not None


async def test_a_message_delivered_late_or_twice_does_not_start_over(listening: Listening) -> None:
    listening.webhook.answers = [500]
    await notices.note(listening.world.context, Notice(TENANT, "one", Kind.RUN_HELD))
    await listening.settle(most=1)
    stale = messages.Notify(TENANT, "one", 0)
    await notices.tell(lambda: listening.tenancy, listening.world.context, stale)
    assert len(listening.webhook.sent) == 1
    await listening.settle()
    await notices.tell(lambda: listening.tenancy, listening.world.context, messages.Notify(TENANT, "one", 1))
    assert len(listening.webhook.sent) == 2
    await notices.tell(lambda: listening.tenancy, listening.world.context, messages.Notify(TENANT, "unknown", 0))


async def test_a_worker_that_dies_on_the_way_loses_nothing(listening: Listening) -> None:
    """Storage fails at each write in turn; the message is then delivered again."""
    for moment in range(1, 12):
        site = Listening()
        await site.listen()
        site.webhook.answers = [503]
        countdown = [moment]

        async def die(when: str, operation: str, target: str, left: list[int] = countdown) -> None:
            if operation in ("commit", "send"):
                left[0] -= 1
                if left[0] == 0:
                    raise DeathError

        notice = Notice(TENANT, "one", Kind.RUN_HELD)
        site.world.tables.hook = die
        try:
            await notices.note(site.world.context, notice)
        except DeathError:
            await notices.note(site.world.context, notice)
        await site.settle(dying=DeathError)
        assert await site.state("one") == "delivered", moment
        assert 2 <= len(site.webhook.sent) <= 4


class DeathError(Exception):
    """The worker is gone."""


async def test_the_key_is_rotated_with_a_day_in_which_both_sign(listening: Listening) -> None:
    context = listening.world.context
    old, listening.key = listening.key, base64.b64decode(await webhooks.rotate(context, TENANT))
    await notices.note(context, Notice(TENANT, "one", Kind.RUN_HELD))
    await listening.settle()
    assert listening.proves(listening.webhook.sent[0])
    assert listening.proves(listening.webhook.sent[0], old)
    listening.world.clock.advance(webhooks.BOTH_SIGN)
    await notices.note(context, Notice(TENANT, "two", Kind.RUN_HELD))
    await listening.settle()
    assert listening.proves(listening.webhook.sent[1])
    assert not listening.proves(listening.webhook.sent[1], old)


async def test_another_address_keeps_the_key_and_neither_is_stored_readable(listening: Listening) -> None:
    context = listening.world.context
    assert await webhooks.set_up(context, TENANT, "https://other.example/", [Kind.RUN_HELD]) == ""
    webhook = await webhooks.load(context, TENANT)
    assert webhook is not None
    assert (webhook.url, set(webhook.kinds)) == ("https://other.example/", {Kind.RUN_HELD})
    assert webhook.keys == (listening.key,)
    row = await listening.world.tables.get("tenants", TENANT, "webhook")
    assert row is not None
    assert b"other.example" not in repr(row.values).encode()
    assert listening.key not in [value for value in row.values.values() if isinstance(value, bytes)]


async def test_a_webhook_outlives_the_data_key_that_sealed_it(listening: Listening) -> None:
    context, clock = listening.world.context, listening.world.clock
    before = await listening.world.tables.get("tenants", TENANT, "webhook")
    await begin_rotation(context, TENANT)
    for _ in range(30):
        clock.advance(timedelta(seconds=await advance(context, TENANT) or 86400))
    after = await listening.world.tables.get("tenants", TENANT, "webhook")
    assert before is not None
    assert after is not None
    assert before.values["Key"] != after.values["Key"]
    webhook = await webhooks.load(context, TENANT)
    assert webhook is not None
    assert (webhook.url, webhook.keys) == (URL, (listening.key,))


async def test_what_was_told_is_kept_for_sixty_days(listening: Listening) -> None:
    world = listening.world
    await notices.note(world.context, Notice(TENANT, "one", Kind.RUN_HELD))
    await listening.settle()
    await purge_expired(world.tables, TENANT, world.clock.now() + timedelta(days=57))
    assert await listening.state("one") == "delivered"
    await purge_expired(world.tables, TENANT, world.clock.now() + timedelta(days=58))
    assert await world.tables.get("notices", TENANT, "one") is None


async def test_there_must_be_a_webhook_to_rotate_its_key(site: Site) -> None:
    with pytest.raises(NotFoundError):
        await webhooks.rotate(site.world.context, TENANT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "http://hooks.example/",
        "https://",
        "https://user:secret@hooks.example/",
        "https://hooks.example/#x",
        "https://hooks.example:8443/",
        "https://hooks.example:x/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://localhost/",
        "https://intranet/",
        "https://hooks.example/a b",
        "https://hooks.example/\r\nX: y",
        "https://höoks.example/",
        "https://-x.example/",
        "https://hooks.example/" + "x" * 2000,
        "ftp://hooks.example/",
        "file:///etc/passwd",
    ],
)
async def test_what_cannot_be_a_webhook_is_refused(site: Site, url: str) -> None:
    with pytest.raises(InputError) as caught:
        await webhooks.set_up(site.world.context, TENANT, url, ALL)
    assert caught.value.field == "url"
    assert await webhooks.load(site.world.context, TENANT) is None
