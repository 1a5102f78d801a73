"""`sync-start`: read the sources, make the snapshot, ask the brakes, hand out chunks."""

from __future__ import annotations

import logging
from secrets import token_hex

from sync_core.engine import runs
from sync_core.engine.context import CHUNKS_AHEAD, Context
from sync_core.engine.difference import HeldError, difference, holds_on
from sync_core.engine.material import gather_material
from sync_core.engine.snapshot import made_from, photo_reader, propose, roster_of, store_snapshot, with_photos
from sync_core.engine.targets import pick_chunks, register_targets
from sync_core.engine.undo import keep, note_base, restore
from sync_core.errors import (
    ConflictError,
    InputError,
    LostPagesError,
    NotAdmittedError,
    NotFoundError,
    ParkedError,
    Reason,
    SourceError,
    TenantError,
    TransientError,
)
from sync_core.messages import SyncStart
from sync_core.model import RunState
from sync_core.ports import TenantKeys
from sync_core.sources.photos import Album
from sync_core.state.runs import Check, Chunk, Run, insert_chunks, load_run, open_chunks, save_run
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.syncs import Sync, load_sync
from sync_core.state.tenants import Tenant, load_tenant

log = logging.getLogger("rollcall.start")

_AGAIN_SOON = 30.0
_CHUNKS_PER_WRITE = 50


async def start_run(context: Context, message: SyncStart) -> None:
    """Plan a run. May be delivered twice or die anywhere: it then goes on, or begins anew."""
    try:
        sync = await load_sync(context.tables, message.tenant, message.sync, ended=True)
        run = await load_run(context.tables, message.tenant, message.run)
        tenant = await load_tenant(context.tables, message.tenant)
    except NotFoundError:
        log.warning("start of run %s: its tenant, sync or run row is gone", message.run)
        return
    if run.state.final or sync.active_run != run.run:
        return
    if run.state is not RunState.QUEUED:
        await hand_out(context, run, await open_chunks(context.tables, run))
        await runs.send_check(context, run, attempt=0)
        return
    if tenant.stopped:
        await runs.end_run(context, run, RunState.FAILED, Reason.TENANT_STOPPED, tenant.stopped)
        return
    run.started_at = run.started_at or context.now()
    try:
        if not sync.deleting:  # whom we may not serve can still be left
            await context.admit(run.tenant)
        await _plan(context, run, sync, tenant)
    except HeldError as held:
        await _hold(context, run, sync, held.hold.reason, held.hold.detail)
    except NotAdmittedError as error:
        await _hold(context, run, sync, error.reason, error.detail)
    except TenantError as error:
        await runs.stop_tenant(context, run.tenant, error.reason)
        await runs.end_run(context, run, RunState.FAILED, error.reason, error.detail)
    except ParkedError as parked:
        await runs.stay_alive(context, run, asleep=parked.delay)
        await runs.send_start(context, run, delay=parked.delay)
    except (ConflictError, LostPagesError) as error:
        # a worker of an earlier run still writes, or a purge came between: plan anew in a moment
        if (await load_run(context.tables, run.tenant, run.run)).state is not RunState.QUEUED:
            log.info("run %s was planned by another worker", run.run)
            return
        log.info("run %s is planned again: %s", run.run, error)
        await runs.send_start(context, run, delay=_AGAIN_SOON)
    except (SourceError, TransientError) as error:
        detail = error.detail if isinstance(error, SourceError) else type(error).__name__
        await _hold(context, run, sync, Reason.SOURCE_UNREADABLE, detail)
    except (InputError, NotFoundError) as error:
        # such as a master key that is missing or no key: only whoever runs the app can mend it
        await runs.end_run(context, run, RunState.FAILED, Reason.INTERNAL_ERROR, str(error))


async def _hold(context: Context, run: Run, sync: Sync, reason: Reason, detail: str) -> None:
    if sync.definition.purge_after_sync:
        # before the run is final, so that a crash in between repeats it
        await context.purge(run.tenant, run.sync)
    await runs.end_run(context, run, RunState.HELD, reason, detail)


async def _plan(context: Context, run: Run, sync: Sync, tenant: Tenant) -> None:
    keys = await context.keyring.keys(run.tenant)
    if sync.deleting:
        await register_targets(context, sync, {})
        current = ""
    else:
        current = await _bring_up_to_date(context, run, sync, tenant, keys)
    chunks = pick_chunks(context, sync, current=current, people=run.people, check=run.check)
    batch: list[Chunk] = []
    count = 0
    run.plan = token_hex(4)
    async for chunk in chunks:
        batch.append(chunk)
        count += 1
        if len(batch) == _CHUNKS_PER_WRITE:
            await insert_chunks(context.tables, run, batch)
            batch = []
    await insert_chunks(context.tables, run, batch)
    run.chunks = count
    run.state = RunState.RUNNING
    await save_run(context.tables, run)
    await hand_out(context, run, [(number, 0) for number in range(min(count, CHUNKS_AHEAD))])
    await runs.send_check(context, run, attempt=0)


async def _bring_up_to_date(context: Context, run: Run, sync: Sync, tenant: Tenant, keys: TenantKeys) -> str:
    store = SnapshotStore(context.tables, keys.sealer, run.tenant, run.sync)
    if run.undoes:
        return await restore(context, store, run, sync, keys)
    if sync.paused:
        return await keep(context, store, run, sync, keys)
    # a source that had shrunk may have lost objects that its delta will never tell again
    in_full = sync.held in (Reason.SOURCE_DROPPED, Reason.TARGETS_DROPPED)
    material = await gather_material(context, keys, sync, in_full=in_full, spent=run.spent)
    run.source_problem = "; ".join(material.unreadable)
    origin = made_from(material, sync, tenant.settings)
    snapshot = await store.head()
    photos = photo_reader(context, keys, sync, spent=run.spent, everybody=run.check is Check.EVERYTHING)
    if snapshot is not None and snapshot.made_from.partition("/")[0] == origin and photos is not None:
        album = await photos.bring_up_to_date(None)
        origin = with_photos(origin, album)
        _note_photos(run, album)
    if snapshot is not None and snapshot.made_from == origin == sync.resolved:
        run.people, run.targets, run.sources = sync.people, sync.targets, sync.sources
        if snapshot.read_at != material.read_at:
            # the same content was read anew: its copy here must not grow old
            proposal = await propose(context, keys, sync, tenant.settings, material, photos)
            if proposal.album is not None:
                _note_photos(run, proposal.album)
            snapshot = await store_snapshot(store, sync, proposal, origin=origin, read_at=material.read_at, previous=snapshot)
        await _use_release(context, run, sync)
        if sync.released_deletions:
            await runs.change_sync(context, run.tenant, run.sync, _forget_release)
        return snapshot.digest
    if snapshot is None:
        await store.discard_head()
    before = await roster_of(store, snapshot)
    proposal = await propose(context, keys, sync, tenant.settings, material, photos, before)
    if photos is not None and proposal.album is not None:
        origin = with_photos(made_from(material, sync, tenant.settings), proposal.album)
        _note_photos(run, proposal.album)
        if proposal.album.is_unfinished:
            await runs.ask_again(context, run, check=Check.DUE)
    run.people, run.targets, run.sources = proposal.people, len(proposal.targets), dict(proposal.sources)
    holds = holds_on(sync, proposal)
    if holds:
        run.would = (await difference(context, store, snapshot, sync, proposal)).counts()
        raise HeldError(holds[0])
    await note_base(context, run, snapshot)
    snapshot = await store_snapshot(store, sync, proposal, origin=origin, read_at=material.read_at, previous=snapshot)
    await register_targets(context, sync, proposal.targets)
    await _use_release(context, run, sync)
    buckets = sync.buckets

    def applied(fresh: Sync) -> None:
        fresh.people, fresh.targets, fresh.sources = run.people, run.targets, run.sources
        fresh.forecast = proposal.forecast
        fresh.resolved, fresh.buckets = origin, buckets
        _forget_release(fresh)

    await runs.change_sync(context, run.tenant, run.sync, applied)
    return snapshot.digest


def _note_photos(run: Run, album: Album) -> None:
    run.photos, run.photo_problem = dict(album.counts), album.problem


async def _use_release(context: Context, run: Run, sync: Sync) -> None:
    """What a person let through is for one run, which notes it before the sync forgets it: a death in between loses nothing."""
    if sync.released_deletions and not run.released:
        run.released = True
        await save_run(context.tables, run)


def _forget_release(sync: Sync) -> None:
    sync.released_people = sync.released_targets = sync.released_sources = None
    sync.released_deletions = False


async def hand_out(context: Context, run: Run, chunks: list[tuple[int, int]]) -> None:
    """Enqueue chunks (number, part), as many as may wait at a time."""
    for number, part in chunks[:CHUNKS_AHEAD]:
        await runs.send_chunk(context, run, number, part=part)
