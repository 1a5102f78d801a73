"""`privacy-requests`: takes a request from step to step. Every delivery may die anywhere and be repeated."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from gdpr import erasure, export
from gdpr.audit_chain import SYSTEM
from gdpr.audit_trail import record
from gdpr.erasure import AgainError, Task, WaitError
from gdpr.erasure_events import mirror_anew
from gdpr.erasure_mailboxes import PER_ROUND, clean_mailboxes
from gdpr.requests import WARN_BEFORE, Request, RequestKind, RequestState, finish, load_request, newest_requests, save_request
from gdpr.subject import sources_of
from sync_core import messages
from sync_core.engine.context import WORKING_TIME, Context
from sync_core.engine.work import OutOfTimeError
from sync_core.errors import ConflictError, InputError, LostPagesError, NotFoundError, ParkedError
from sync_core.messages import PrivacyStep
from sync_core.notices import Kind, Notice
from sync_core.state.sources import FILE, PUSH, SourceStore
from sync_core.state.suppressions import lift

log = logging.getLogger("rollcall.privacy")

Step = Callable[[Task], Awaitable[None]]

_AFTER_SUPPRESSION = 1
_AFTER_CONFLICT = 30.0
_STOPPING: Sequence[Step] = (
    erasure.suppress_person,
    erasure.clean_snapshots,
    clean_mailboxes,
    erasure.clean_snapshots_of_events,
    mirror_anew,
    erasure.verify,
    erasure.write_receipt,
)
_ERASING: Sequence[Step] = (
    erasure.suppress_person,
    erasure.clean_sources,
    erasure.clean_snapshots,
    clean_mailboxes,
    erasure.clean_snapshots_of_events,
    mirror_anew,
    erasure.clean_refusals,
    erasure.clean_choices,
    erasure.clean_trail,
    erasure.clean_results,
    export.clean_exports,
    erasure.verify,
    erasure.write_receipt,
)
STEPS: dict[RequestKind, Sequence[Step]] = {
    RequestKind.ERASURE: _ERASING,
    RequestKind.RESTRICTION: _STOPPING,
    RequestKind.OBJECTION: _STOPPING,
    RequestKind.EXPORT: (export.build_export, erasure.write_receipt),
    RequestKind.TENANT_EXPORT: (export.build_export, erasure.write_receipt),
}


async def start_request(context: Context, request: Request) -> None:
    """Have a confirmed request worked on."""
    await _send(context, request)


async def take_steps(context: Context, message: PrivacyStep) -> None:
    """Go on with a request for as long as a delivery may work."""
    try:
        request = await load_request(context, message.tenant, message.request)
    except NotFoundError:
        log.warning("privacy request %s is gone", message.request)
        return
    if request.state is not RequestState.RUNNING:
        return
    steps = STEPS[request.kind]
    keys = await context.keyring.keys(request.tenant)
    task = Task(context, keys, request, deadline=context.now() + min(WORKING_TIME, context.lease * 0.6))
    delay: float | None = None
    while request.step < len(steps) and delay is None:
        try:
            await steps[request.step](task)
        except OutOfTimeError:
            delay = 0
        except WaitError as wait:
            delay = wait.delay
        except ParkedError as parked:
            delay = parked.delay
        except (AgainError, LostPagesError, ConflictError):
            # somebody else changed it at the same time
            request.rounds, delay = request.rounds + 1, 5.0
            request.step, request.cursor = min(request.step, _AFTER_SUPPRESSION), ""
            request.subject.busy = []
            for name in PER_ROUND:
                request.counts.pop(name, None)
        else:
            request.step, request.cursor = request.step + 1, ""
        if request.step == len(steps):
            finish(request, RequestState.DONE, context.now())
        try:
            await save_request(context, request)
        except ConflictError:
            # another delivery works on it, or an officer has extended it: then nobody else would go on
            log.info("privacy request %s was changed by somebody else", request.request)
            delay = _AFTER_CONFLICT
            break
    if delay is not None:
        await _send(context, request, delay=delay)


async def lift_request(context: Context, tenant: str, request_id: str) -> Request:
    """Take back what a finished request suppressed. Repeatable. Raises NotFoundError, or InputError when it suppresses nobody."""
    request = await load_request(context, tenant, request_id)
    if request.kind not in erasure.KINDS or request.state not in (RequestState.DONE, RequestState.LIFTED):
        raise InputError("request", "only an erasure, a restriction or an objection that is done can be lifted")
    await lift(context.tables, tenant, request.request)
    # the snapshots that are kept count as of now again, that of a paused sync too
    keys = await context.keyring.keys(tenant)
    await erasure.strip_suppressed(context, keys, tenant)
    for source in await sources_of(context, tenant) if request.kind is RequestKind.ERASURE else ():
        if not source.startswith((FILE, PUSH)):
            # the person was left out of it: only a full reading tells of them again
            await SourceStore(context.tables, keys, tenant, source).discard_head()
    request.state = RequestState.LIFTED
    await save_request(context, request)
    return request


async def look_after_requests(context: Context, tenant: str) -> None:
    """Once a day: send open requests again, warn of those that are due soon, and delete exports that have expired."""
    await export.expire_exports(context, tenant)
    async for request in newest_requests(context, tenant):
        if request.state.final:
            continue
        if request.state is RequestState.RUNNING:
            await _send(context, request)
        if not request.warned and context.now() >= request.due_at - WARN_BEFORE:
            log.warning("privacy request %s of tenant %s is due on %s", request.request, tenant, request.due_at.date())
            subject = f"request/{request.request}"
            once = f"due|{request.request}|{request.due_at.isoformat()}"
            await record(context, tenant, actor=SYSTEM, action="request.due_soon", subject=subject, once=once)
            notice = f"due-{request.request}-{request.due_at:%Y%m%d}"
            await context.notify(Notice(tenant, notice, Kind.REQUEST_DUE, request=request.request))
            request.warned = True
            try:
                await save_request(context, request)
            except ConflictError:
                continue


async def _send(context: Context, request: Request, *, delay: float = 0) -> None:
    message = messages.PrivacyStep(request.tenant, request.request)
    await context.queues.send(messages.PRIVACY_REQUESTS, messages.as_dict(message), delay=delay)
