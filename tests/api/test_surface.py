"""What holds for all endpoints there are, whoever declares them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import function_app
from api import surface
from api.endpoint import ANYONE, EVERYONE, Endpoint
from api.openapi import document
from api.principal import Role
from gdpr.audit_trail import entries
from local.host.functions import read_functions
from local.m365.tenant import App
from sync_core.definition import TenantSettings
from sync_core.engine import admin as tenants
from sync_core.engine import runs
from tests.api.bodies import BODIES, body_of, furnish, ids
from tests.api.client import Answer, Client
from tests.engine.world import CLIENT, SECRET, SYNC, TENANT, World

OTHER = "22222222-2222-4333-8444-555555555555"
ENDPOINTS = surface.endpoints()
WITH_IDS = [endpoint for endpoint in ENDPOINTS if endpoint.path is not None]
CHANGING = [endpoint for endpoint in ENDPOINTS if endpoint.audits]


def named(endpoints: list[Endpoint]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("endpoint", [pytest.param(each, id=each.name) for each in endpoints])


async def send(client: Client, endpoint: Endpoint, parameters: dict[str, str], **headers: str) -> Answer:
    """A well-formed request for an endpoint."""
    address = re.sub(r"\{(\w+)\}", lambda found: parameters[found[1]], endpoint.route)
    return await client(endpoint.method, address, body_of(endpoint), kind=endpoint.accepts[0], If_Match="*", **headers)


@pytest.fixture
async def boss(admin: Client) -> Client:
    """Who may call everything that scripts may."""
    return replace(admin, roles=tuple(Role))


async def everything(world: World, table_of: str) -> dict[tuple[str, str, str], Any]:
    """Every row of a tenant."""
    found = {}
    for table in list(world.tables.stored._tables):
        async for row in world.tables.scan(table):
            if table_of in (row.partition, row.partition.partition(":")[0]):
                found[table, row.partition, row.row] = row.etag
    return found


def test_every_http_function_is_declared_and_has_no_key() -> None:
    triggers = [each.trigger for each in read_functions(function_app.app, 60) if each.trigger["type"] == "httpTrigger"]
    assert {(trigger["route"], method.value) for trigger in triggers for method in trigger["methods"]} == {
        (endpoint.route, endpoint.method) for endpoint in ENDPOINTS
    }
    assert {getattr(trigger["authLevel"], "value", trigger["authLevel"]) for trigger in triggers} == {
        func.AuthLevel.ANONYMOUS.value
    }
    assert len({endpoint.name for endpoint in ENDPOINTS}) == len(ENDPOINTS)


def test_few_endpoints_are_open() -> None:
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.roles == ANYONE} == {"health", "openapi"}


@named([endpoint for endpoint in ENDPOINTS if endpoint.roles != ANYONE])
async def test_nobody_gets_in_without_a_token_or_a_role(admin: Client, endpoint: Endpoint) -> None:
    parameters = ids("0000000000000-00000000")
    assert (await send(replace(admin, signed_in=False), endpoint, parameters)).status == 401
    if endpoint.roles == EVERYONE:
        assert (await send(replace(admin, is_app=True), endpoint, parameters)).status == 403
    else:
        others = frozenset(Role).difference(endpoint.roles)
        assert (await send(replace(admin, roles=others), endpoint, parameters)).status == 403
        assert (await send(replace(admin, roles=()), endpoint, parameters)).status == 403


@named(WITH_IDS)
async def test_what_belongs_to_another_tenant_does_not_exist(boss: Client, world: World, endpoint: Endpoint) -> None:
    world.cloud.add_tenant(OTHER, "Other", App(CLIENT, SECRET.decode()))
    await tenants.connect_tenant(world.context, OTHER, TenantSettings())
    mailbox = world.hire("Somebody Here")
    await furnish(world.context)
    run = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    before = await everything(world, TENANT)
    answer = await send(replace(boss, tenant=OTHER), endpoint, ids(run) | {"mailbox": mailbox})
    if not {"sync", "run"}.isdisjoint(endpoint.path.model_fields if endpoint.path else ()) or endpoint.method == "GET":
        assert (answer.status, answer.code) == (404, "not_found")
    else:  # names that each tenant gives by itself
        assert answer.status in (200, 204, 404)
    assert await everything(world, TENANT) == before


@named(CHANGING)
async def test_every_change_is_in_the_audit_trail(boss: Client, world: World, endpoint: Endpoint) -> None:
    await furnish(world.context)
    run = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    answer = await send(boss, endpoint, ids(run))
    actions = [entry.action async for entry in entries(world.context, TENANT)]
    if answer.status < 400 or not endpoint.audits_itself:
        assert actions == [endpoint.audits]
    else:
        assert answer.status in (400, 404, 409)


@named([endpoint for endpoint in ENDPOINTS if endpoint.body is not None])
async def test_bodies_of_any_shape_are_no_bug(boss: Client, endpoint: Endpoint) -> None:
    for body in (
        b"",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b'{"items": 1}',
        b"{",
        b"\x00",
        b'{"definition": {"sources": [[]]}}',
        b'{"": {}}',
    ):
        address = re.sub(r"\{(\w+)\}", lambda found: ids("0000000000000-00000000")[found[1]], endpoint.route)
        answer = await boss(endpoint.method, address, body, kind=endpoint.accepts[0], If_Match="*")
        assert answer.status < 500, (body, answer.raw)


@pytest.mark.parametrize(
    "text", ["..", "%2e%2e", "a%2Fb", "%00", "x" * 300, "%F0%9F%98%80", "' or 1 eq 1", "TENANTS", "*", "~", "%"]
)
async def test_ids_of_any_shape_are_no_bug(boss: Client, text: str) -> None:
    for endpoint in WITH_IDS:
        address = re.sub(r"\{\w+\}", lambda _: text, endpoint.route)
        answer = await boss(endpoint.method, address, body_of(endpoint), kind=endpoint.accepts[0], If_Match="*")
        assert answer.status in (200, 204, 400, 404), (endpoint.name, answer.raw)


def test_the_description_is_openapi() -> None:
    described = document(ENDPOINTS)
    OpenAPIV31SpecValidator(described).validate()
    operations = {operation["operationId"] for path in described["paths"].values() for operation in path.values()}
    assert operations == {endpoint.name for endpoint in ENDPOINTS}
    assert not re.search(r"\btenants?/\{", str(described["paths"].keys()))


def test_bodies_are_of_endpoints() -> None:
    assert set(BODIES) <= {endpoint.name for endpoint in ENDPOINTS if endpoint.body is not None}
