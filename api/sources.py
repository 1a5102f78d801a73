"""Uploads of people over HTTP."""

from __future__ import annotations

from dataclasses import asdict

import azure.functions as func

from api.answers_old import answer, explained, problem
from composition import context
from sync_core.engine import uploads
from sync_core.sources.files.entries import FileError
from sync_core.sources.files.reading import MOST_BYTES
from sync_core.sources.registry import file_source

blueprint = func.Blueprint()  # type: ignore[no-untyped-call] # the package does not annotate it


@blueprint.route("tenants/{tenant}/sources/{source}", methods=["PUT"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def put_source(req: func.HttpRequest) -> func.HttpResponse:
    """Put the people of a CSV or vCard file in the place of the last upload. All of the file is taken, or nothing."""
    body = req.get_body()
    if len(body) > MOST_BYTES:
        return problem(413, "too_large", "The file is too large", detail=f"It may have {MOST_BYTES} bytes")
    tenant, source = req.route_params["tenant"], req.route_params["source"]
    try:
        filled = await uploads.upload_file(context(), tenant, source, body, req.headers.get("Content-Type", ""))
    except FileError as error:
        return answer(
            {
                "type": "about:blank",
                "title": "The file cannot be taken",
                "status": 400,
                "code": "invalid_file",
                "errors": [{"field": place, "detail": text} for place, text in error.problems],
            },
            400,
        )
    return answer(asdict(filled))


@blueprint.route("tenants/{tenant}/sources/{source}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def get_source(req: func.HttpRequest) -> func.HttpResponse:
    """How many people the last upload brought, when it came and when it expires."""
    return answer(asdict(await uploads.look_at(context(), req.route_params["tenant"], file_source(req.route_params["source"]))))


@blueprint.route("tenants/{tenant}/sources/{source}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
@explained
async def delete_source(req: func.HttpRequest) -> func.HttpResponse:
    """Forget the last upload; the contacts made from it stay until a sync runs without this source."""
    await uploads.empty(context(), req.route_params["tenant"], file_source(req.route_params["source"]))
    return answer({"source": req.route_params["source"]})
