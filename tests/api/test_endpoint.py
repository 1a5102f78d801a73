"""What every endpoint does before and after its handler."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import pytest
from pydantic import Field

from api import rates
from api.endpoint import ADMINS, ANYONE, EVERYONE, READERS, Audit, Call, Endpoints, Reply, Strict, SyncId
from api.principal import Role
from api.problems import ProblemError
from gdpr.audit_chain import Actor
from gdpr.audit_trail import entries
from sync_core.errors import ConflictError, MailboxError, NotFoundError, ParkedError, Reason, SourceError
from sync_core.state.names import ANSWERS
from tests.api.client import OBJECT_ID, Client
from tests.engine.world import TENANT, World

OTHER = "22222222-2222-4333-8444-555555555555"


class Path(Strict):
    thing: SyncId


class Query(Strict):
    size: Annotated[int, Field(ge=1, le=10)] = 5


class Inner(Strict):
    number: int


class Body(Strict):
    name: str
    inner: tuple[Inner, ...] = ()


class Shown(Strict):
    thing: str
    at: datetime | None = None


class Sample:
    """Endpoints that note what they did."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.error: Exception | None = None
        self.group = group = Endpoints("Sample")

        @group.get("open", roles=ANYONE)
        async def read_open(call: Call) -> Shown:
            """Open to anyone."""
            return Shown(thing=call.correlation)

        @group.get("things/{thing}", roles=READERS)
        async def read_thing(call: Call, path: Path, query: Query) -> Reply[Shown]:
            """A thing."""
            if self.error is not None:
                raise self.error
            return Reply(Shown(thing=f"{call.tenant}/{path.thing}/{query.size}", at=call.context.now()), etag='"1"')

        @group.put("things/{thing}", roles=ADMINS, audits="thing.replaced", conditional=True)
        async def replace_thing(call: Call, path: Path, body: Body, audit: Audit) -> None:
            """Another thing."""
            if body.name != "unaudited":
                await audit(before={"name": "old"}, after={"name": body.name})
            self.done.append((path.thing, body.name, call.version))

        @group.post("things", roles=ADMINS, audits="thing.started", status=202, idempotent=True)
        async def start_thing(call: Call, body: Body) -> Reply[Shown]:
            """Long work."""
            if self.error is not None:
                raise self.error
            self.done.append(body.name)
            return Reply(Shown(thing=f"{len(self.done)}"), location="things/one")

        @group.get("me", roles=EVERYONE, connected=False)
        async def me(call: Call) -> Shown:
            """Me."""
            return Shown(thing=call.principal.object_id)


@pytest.fixture
def sample() -> Sample:
    return Sample()


@pytest.fixture
async def admin(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Client:
    world = World()
    await world.connect()
    return Client(monkeypatch, world.context, endpoints=lambda: sample.group.declared)


async def test_answers_carry_what_they_say(admin: Client) -> None:
    answer = await admin("GET", "things/one?size=7")
    assert answer.status == 200
    assert answer.json == {"thing": f"{TENANT}/one/7", "at": "2026-11-02T01:00:00Z"}
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_request_is_named_as_the_caller_traces_it(admin: Client, caplog: pytest.LogCaptureFixture) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with caplog.at_level("INFO", "rollcall.api"):
        answer = await admin("GET", "open", traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert answer.json["thing"] == answer.headers["x-correlation-id"] == trace
    assert trace in caplog.text
    made = (await admin("GET", "open", traceparent="nonsense")).headers["x-correlation-id"]
    assert len(made) == 32
    assert made != trace


async def test_every_wrong_field_is_named(admin: Client) -> None:
    answer = await admin("PUT", "things/one", {"inner": [{"number": 1}, {"number": "x"}], "more": 1}, If_Match="*")
    assert answer.status == 400
    assert answer.headers["content-type" if "content-type" in answer.headers else "x-correlation-id"]
    assert answer.json["code"] == "invalid_input"
    assert answer.json["type"] == "urn:problem-type:rollcall:invalid_input"
    assert answer.json["correlation_id"] == answer.headers["x-correlation-id"]
    assert {error["field"] for error in answer.json["errors"]} == {"name", "inner.1.number", "more"}
    wrong = await admin("GET", "things/Not%20One?size=99&tenant=x")
    assert {error["field"] for error in wrong.json["errors"]} == {"thing", "size", "tenant"}
    assert "Not One" not in wrong.raw.decode()


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_input"),
        (b"[" * 5000, "application/json", 400, "invalid_input"),
        (b"\xff", "application/json", 400, "invalid_input"),
        (b"name=x", "application/x-www-form-urlencoded", 415, "media_type"),
        (b" " * 300_000, "application/json", 413, "too_large"),
    ],
)
async def test_bodies_that_are_none(admin: Client, body: bytes, kind: str, status: int, code: str) -> None:
    answer = await admin("POST", "things", body, kind=kind)
    assert (answer.status, answer.code) == (status, code)


async def test_who_may_not_call_is_told_why(admin: Client) -> None:
    stranger = await replace(admin, signed_in=False)("GET", "things/one")
    assert (stranger.status, stranger.code, stranger.headers["www-authenticate"]) == (401, "not_signed_in", "Bearer")
    assert (await replace(admin, signed_in=False)("GET", "open")).status == 200
    answer = await replace(admin, roles=(Role.PUSH,))("GET", "things/one")
    assert (answer.status, answer.code) == (403, "missing_role")
    assert "Rollcall.Viewer" in answer.json["detail"]
    assert (await replace(admin, roles=(Role.VIEWER,))("GET", "things/one")).status == 200
    assert (await replace(admin, roles=(Role.VIEWER,))("PUT", "things/one", {"name": "x"})).status == 403
    assert (await replace(admin, tenant=OTHER, roles=())("GET", "me")).status == 200
    assert (await replace(admin, is_app=True)("GET", "me")).code == "person_required"
    assert (await replace(admin, home=OTHER)("GET", "me")).code == "person_required"


async def test_a_change_without_its_entry_is_no_success(admin: Client, sample: Sample, caplog: pytest.LogCaptureFixture) -> None:
    assert (await admin("PUT", "things/one", {"name": "new"}, If_Match='"1"')).status == 204
    assert sample.done == [("one", "new", "1")]
    (entry,) = [entry async for entry in entries(admin.context, TENANT)]
    assert (entry.action, entry.actor) == ("thing.replaced", Actor("user", OBJECT_ID, TENANT))
    assert entry.details == {"subject": "one", "before": {"name": "old"}, "after": {"name": "new"}}
    assert (await admin("PUT", "things/one", {"name": "unaudited"}, If_Match='"1"')).status == 500
    assert "has not written" not in caplog.text
    assert "AssertionError" in caplog.text


async def test_lost_updates_are_asked_about(admin: Client) -> None:
    answer = await admin("PUT", "things/one", {"name": "new"})
    assert (answer.status, answer.code) == (428, "if_match_missing")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFoundError("this thing does not exist"), 404, "not_found"),
        (ConflictError(), 409, "conflict"),
        (ParkedError("later", delay=77.4), 503, "unavailable"),
        (MailboxError(Reason.NO_MAILBOX, "code"), 409, "mailbox_unreachable"),
        (SourceError("code"), 502, "microsoft_365"),
        (ProblemError(410, "gone_for_good", "Take another"), 410, "gone_for_good"),
        (ValueError("secret of somebody"), 500, "internal_error"),
    ],
)
async def test_errors_have_codes(
    admin: Client, sample: Sample, error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    sample.error = error
    answer = await admin("GET", "things/one")
    assert (answer.status, answer.code) == (status, code)
    assert answer.json["title"]
    if status == 503:
        assert answer.headers["retry-after"] == "77"
    if status == 500:
        assert "secret" not in answer.raw.decode() + caplog.text
        assert answer.headers["x-correlation-id"] in caplog.text


async def test_too_many_calls_are_slowed_down_for_each_tenant(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "BURST", 3.0)
    monkeypatch.setattr(rates, "PER_SECOND", 0.5)
    assert [(await admin("GET", "things/one")).status for _ in range(4)] == [200, 200, 200, 429]
    answer = await admin("GET", "things/one")
    assert answer.code == "too_many_requests"
    assert 1 <= int(answer.headers["retry-after"]) <= 2
    assert (await replace(admin, tenant=OTHER)("GET", "things/one")).status == 200
    assert (await admin("GET", "open")).status == 200


class TestIdempotency:
    """A repeated request."""

    async def test_is_answered_as_the_first_time(self, admin: Client, sample: Sample) -> None:
        first = await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")
        again = await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")
        assert (first.status, first.headers["location"], first.json["thing"]) == (202, "/api/things/one", "1")
        assert (again.status, again.raw) == (first.status, first.raw)
        assert again.headers["location"] == "/api/things/one"
        assert again.headers["idempotency-replayed"] == "true"
        assert sample.done == ["x"]
        assert (await admin("POST", "things", {"name": "x"}, Idempotency_Key="k2")).json["thing"] == "2"
        assert (await admin("POST", "things", {"name": "x"})).json["thing"] == "3"

    async def test_with_another_body_is_refused(self, admin: Client, sample: Sample) -> None:
        await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")
        answer = await admin("POST", "things", {"name": "y"}, Idempotency_Key="k1")
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
        assert sample.done == ["x"]

    async def test_may_be_tried_again_when_it_failed(self, admin: Client, sample: Sample) -> None:
        sample.error = ParkedError("later", delay=1)
        assert (await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")).status == 503
        sample.error = None
        assert (await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")).status == 202

    async def test_waits_while_the_first_is_under_way(
        self, admin: Client, sample: Sample, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")
        clock: Any = admin.context.clock
        tables = admin.context.tables
        (row,) = [entity async for entity in tables.query(ANSWERS, TENANT)]
        assert not any(isinstance(value, bytes) and b"thing" in value for value in row.values.values())
        from sync_core.ports import Put

        await tables.commit(ANSWERS, TENANT, [Put(row.row, {k: v for k, v in row.values.items() if k != "Answer"})])
        answer = await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (409, "request_under_way", "2")
        clock.advance(timedelta(minutes=6))
        assert (await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")).json["thing"] == "2"

    async def test_is_forgotten_after_a_day_and_known_to_its_caller_only(self, admin: Client, sample: Sample) -> None:
        await admin("POST", "things", {"name": "x"}, Idempotency_Key="k1")
        assert (await replace(admin, home=OTHER)("POST", "things", {"name": "y"}, Idempotency_Key="k1")).json["thing"] == "2"
        clock: Any = admin.context.clock
        clock.advance(timedelta(hours=25))
        assert (await admin("POST", "things", {"name": "z"}, Idempotency_Key="k1")).json["thing"] == "3"

    async def test_needs_a_sensible_key(self, admin: Client) -> None:
        answer = await admin("POST", "things", {"name": "x"}, Idempotency_Key="k" * 201)
        assert answer.json["errors"][0]["field"] == "Idempotency-Key"


def test_a_declaration_says_enough() -> None:
    group = Endpoints("Wrong")

    async def silent(call: Call) -> None: ...

    async def good(call: Call, path: Path) -> None:
        """Does something."""

    async def odd(call: Call, tenant: str) -> None:
        """Takes what no request has."""

    with pytest.raises(TypeError, match="audits"):
        group.declare("POST", "things/{thing}", roles=ADMINS)(good)
    with pytest.raises(TypeError, match="nobody"):
        group.get("things/{thing}", roles=frozenset())(good)
    with pytest.raises(TypeError, match="the model of the path"):
        group.get("things", roles=ADMINS)(good)
    with pytest.raises(TypeError, match="signed in"):
        group.post("things/{thing}", roles=ANYONE, audits="x.y")(good)
    with pytest.raises(TypeError, match="takes call"):
        group.get("things", roles=ADMINS)(odd)
    with pytest.raises(TypeError, match="docstring"):
        group.get("things", roles=ADMINS)(silent)
    with pytest.raises(TypeError, match="roles"):
        group.get("things")(good)  # type: ignore[call-arg]
