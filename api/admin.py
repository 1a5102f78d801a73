"""Tenants, syncs and runs over HTTP. Behind the function key until people can sign in."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from api.answers_old import answer, explained, json_body
from composition import context
from sync_core.definition import SyncDefinition, TenantSettings, parse
from sync_core.engine import admin, runs, undo
from sync_core.errors import InputError
from sync_core.state.runs import Check, Run, all_chunks, load_run, newest_runs
from sync_core.state.syncs import Sync, load_sync
from sync_core.state.tenants import load_tenant

blueprint = func.Blueprint()  # type: ignore[no-untyped-call] # the package does not annotate it

_MOST_RUNS = 100


class StartOptions(BaseModel):
    """How closely a run looks: what is due, what users changed in all mailboxes, or everything anew."""

    model_config = ConfigDict(extra="forbid")
    check: Literal["due", "changes", "everything"] = "due"


class PurgeOptions(BaseModel):
    """Whose caches to empty: one sync's, or all of the tenant's."""

    model_config = ConfigDict(extra="forbid")
    sync: str | None = None


@blueprint.route("tenants/{tenant}", methods=["PUT"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def put_tenant(req: func.HttpRequest) -> func.HttpResponse:
    """Connect a tenant or change its settings."""
    await admin.connect_tenant(context(), req.route_params["tenant"], parse(TenantSettings, json_body(req)))
    return answer({"tenant": req.route_params["tenant"]})


@blueprint.route("tenants/{tenant}/syncs/{sync}", methods=["PUT"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def put_sync(req: func.HttpRequest) -> func.HttpResponse:
    """Create a sync or replace its definition."""
    definition = parse(SyncDefinition, json_body(req))
    return answer(_sync(await admin.define_sync(context(), req.route_params["tenant"], req.route_params["sync"], definition)))


@blueprint.route("tenants/{tenant}/syncs/{sync}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def get_sync(req: func.HttpRequest) -> func.HttpResponse:
    """A sync's definition and where it stands."""
    return answer(_sync(await load_sync(context().tables, req.route_params["tenant"], req.route_params["sync"])))


@blueprint.route("tenants/{tenant}/syncs/{sync}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def delete_sync(req: func.HttpRequest) -> func.HttpResponse:
    """Remove all that a sync ever wrote, or leave it to the users, then the sync."""
    contacts = req.params.get("contacts", "remove")
    if contacts not in ("remove", "keep"):
        raise InputError("contacts", "must be remove or keep")
    tenant, sync = req.route_params["tenant"], req.route_params["sync"]
    return _started(req, await admin.delete_sync(context(), tenant, sync, keep_contacts=contacts == "keep"))


@blueprint.route("tenants/{tenant}/syncs/{sync}/runs", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def start_run(req: func.HttpRequest) -> func.HttpResponse:
    """Start a run; while one is active, another follows it."""
    check = Check(parse(StartOptions, json_body(req)).check)
    run = await runs.request_run(context(), req.route_params["tenant"], req.route_params["sync"], check=check, by_hand=True)
    return _started(req, run)


@blueprint.route("tenants/{tenant}/runs", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def list_runs(req: func.HttpRequest) -> func.HttpResponse:
    """The newest runs."""
    found: list[dict[str, object]] = []
    async for run in newest_runs(context().tables, req.route_params["tenant"]):
        found.append(_run(run))
        if len(found) == _MOST_RUNS:
            break
    return answer({"runs": found})


@blueprint.route("tenants/{tenant}/runs/{run}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def get_run(req: func.HttpRequest) -> func.HttpResponse:
    """One run: state, counts and cost."""
    return answer(_run(await load_run(context().tables, req.route_params["tenant"], req.route_params["run"])))


@blueprint.route("tenants/{tenant}/runs/{run}/mailboxes", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def get_results(req: func.HttpRequest) -> func.HttpResponse:
    """What a run did in each mailbox, as far as it has got."""
    run = await load_run(context().tables, req.route_params["tenant"], req.route_params["run"])
    chunks = all_chunks(context().tables, run)
    return answer({"mailboxes": [asdict(result) async for chunk in chunks for result in chunk.results]})


@blueprint.route("tenants/{tenant}/runs/{run}/release", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def release_run(req: func.HttpRequest) -> func.HttpResponse:
    """Let a held run's change through: starts a run that may go as far."""
    return _started(req, await runs.release(context(), req.route_params["tenant"], req.route_params["run"]))


@blueprint.route("tenants/{tenant}/runs/{run}/drop", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def drop_run(req: func.HttpRequest) -> func.HttpResponse:
    """Refuse a held run's change."""
    await runs.drop(context(), req.route_params["tenant"], req.route_params["run"])
    return answer({"run": req.route_params["run"], "state": "dropped"})


@blueprint.route("tenants/{tenant}/runs/{run}/undo", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def undo_run(req: func.HttpRequest) -> func.HttpResponse:
    """Bring the mailboxes back to what they held before a run, and pause the sync."""
    return _started(req, await undo.undo(context(), req.route_params["tenant"], req.route_params["run"]))


@blueprint.route("tenants/{tenant}/syncs/{sync}/pause", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def pause_sync(req: func.HttpRequest) -> func.HttpResponse:
    """Let nothing new into the mailboxes."""
    return answer(_sync(await admin.pause_sync(context(), req.route_params["tenant"], req.route_params["sync"])))


@blueprint.route("tenants/{tenant}/syncs/{sync}/resume", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def resume_sync(req: func.HttpRequest) -> func.HttpResponse:
    """Go on with a paused sync."""
    return answer(_sync(await admin.resume_sync(context(), req.route_params["tenant"], req.route_params["sync"])))


@blueprint.route("tenants/{tenant}/purge", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def purge_caches(req: func.HttpRequest) -> func.HttpResponse:
    """Empty the caches now."""
    tenant, options = req.route_params["tenant"], parse(PurgeOptions, json_body(req))
    await load_tenant(context().tables, tenant)
    if options.sync is not None:
        await load_sync(context().tables, tenant, options.sync)
    await context().purge(tenant, options.sync)
    return answer({"purged": options.sync or "all"})


def _started(req: func.HttpRequest, run: str) -> func.HttpResponse:
    tenant = req.route_params["tenant"]
    return answer({"run": run}, 202, {"Location": f"/api/tenants/{tenant}/runs/{run}"})


def _sync(sync: Sync) -> dict[str, object]:
    return {
        "sync": sync.sync,
        "definition": sync.definition.model_dump(mode="json"),
        "revision": sync.revision,
        "deleting": sync.deleting,
        "paused": sync.paused,
        "nextRun": sync.next_run,
        "activeRun": sync.active_run or None,
        "held": sync.held or None,
        "people": sync.people,
        "targets": sync.targets,
    }


def _run(run: Run) -> dict[str, object]:
    return {
        "run": run.run,
        "sync": run.sync,
        "state": run.state,
        "reason": run.reason or None,
        "detail": run.detail or None,
        "check": run.check,
        "undoes": run.undoes or None,
        "requestedAt": run.requested_at,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "people": run.people,
        "targets": run.targets,
        "sources": run.sources,
        "setAside": run.set_aside,
        "mailboxes": run.outcomes,
        "reasons": run.reasons,
        "counts": asdict(run.counts),
        "would": run.would or None,
        "graph": asdict(run.spent),
    }
