"""The OpenAPI 3.1 document, made from the declarations of the endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, TypeGuard

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api.endpoint import ANYONE, EVERYONE, Endpoint
from api.problems import Problem

_VERSION = "1"
_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = """A company's people on every employee's phone. Errors are problem details (RFC 9457). The tenant comes from the
access token. docs/api.md tells about paging, conditional requests, repeated requests and long work."""

Schema = dict[str, Any]
Schemas = dict[tuple[Any, JsonSchemaMode], Schema]


def document(endpoints: Iterable[Endpoint]) -> Schema:
    """The document of these endpoints."""
    listed = list(endpoints)
    schemas, definitions = _schemas(listed)
    paths: dict[str, dict[str, Schema]] = {}
    for endpoint in listed:
        paths.setdefault(f"/api/{endpoint.route}", {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcall",
            "version": _VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in listed)],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "entra": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of Microsoft Entra. Operations name the app roles of which one is needed",
                }
            },
        },
    }


def _schemas(endpoints: list[Endpoint]) -> tuple[Schemas, Schema]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for endpoint in endpoints:
        for model in filter(_is_model, (endpoint.path, endpoint.query, endpoint.body)):
            wanted[model, "validation"] = None
        if _is_model(endpoint.answer):
            wanted[endpoint.answer, "serialization"] = None
    references, found = models_json_schema(list(wanted), ref_template=_REFERENCE)
    definitions: Schema = found.get("$defs", {})
    schemas: Schemas = dict(references)
    for endpoint in endpoints:
        for model in (endpoint.path, endpoint.query):
            if model is not None:  # parameters are described one by one where they are used
                name = references[model, "validation"]["$ref"].rpartition("/")[2]
                schemas[model, "validation"] = definitions[name]
    parameters = {id(schema) for schema in schemas.values()}
    return schemas, {name: schema for name, schema in definitions.items() if id(schema) not in parameters}


def _is_model(model: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _operation(endpoint: Endpoint, schemas: Schemas) -> Schema:
    summary, _, description = endpoint.doc.partition("\n")
    operation: Schema = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": summary.rstrip("."),
        "parameters": list(_parameters(endpoint, schemas)),
        "responses": _responses(endpoint, schemas),
        "security": _security(endpoint),
    }
    if description.strip():
        operation["description"] = description.strip()
    if endpoint.body is not None:
        operation["requestBody"] = _request_body(endpoint, schemas)
    return operation


def _security(endpoint: Endpoint) -> list[Schema]:
    if endpoint.roles == ANYONE:
        return []
    return [{"entra": [] if endpoint.roles == EVERYONE else sorted(endpoint.roles)}]


def _parameters(endpoint: Endpoint, schemas: Schemas) -> Iterable[Schema]:
    for place, model in (("path", endpoint.path), ("query", endpoint.query)):
        if model is not None:
            schema = schemas[model, "validation"]
            for name, described in schema["properties"].items():
                yield _parameter(name, place, described, required=name in schema.get("required", ()))
    if endpoint.conditional:
        text = "The ETag that was read, or * for whatever is there"
        yield _parameter("If-Match", "header", {"type": "string", "description": text, "minLength": 1}, required=True)
    if endpoint.idempotent:
        text = "A name of the caller's for this request: repeated within a day, it is answered as the first time"
        yield _parameter(
            "Idempotency-Key", "header", {"type": "string", "description": text, "maxLength": 200, "pattern": "^[!-~]*$"}
        )


def _parameter(name: str, place: str, schema: Schema, *, required: bool = False) -> Schema:
    found: Schema = {"name": name, "in": place, "required": required}
    if "description" in schema:
        found["description"] = schema["description"]
    return found | {"schema": {key: value for key, value in schema.items() if key not in ("description", "title")}}


def _request_body(endpoint: Endpoint, schemas: Schemas) -> Schema:
    content: Schema = {} if endpoint.body is bytes else {"schema": schemas[endpoint.body, "validation"]}
    required = endpoint.body is bytes or bool(_fields_required(endpoint.body))
    return {"required": required, "content": dict.fromkeys(endpoint.accepts, content)}


def _fields_required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _responses(endpoint: Endpoint, schemas: Schemas) -> Schema:
    responses: Schema = {}
    for status in (endpoint.status, *endpoint.also):
        answer: Schema = {"description": HTTPStatus(status).phrase, "headers": dict(_headers(status))}
        if _is_model(endpoint.answer):
            answer["content"] = {endpoint.produces: {"schema": schemas[endpoint.answer, "serialization"]}}
        elif endpoint.answer is not type(None):
            answer["content"] = {endpoint.produces: {}}
        responses[str(status)] = answer
    problem = {"application/problem+json": {"schema": schemas[Problem, "serialization"]}}
    for status in _problems(endpoint):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": dict(_headers(status)),
            "content": problem,
        }
    return responses


def _headers(status: int) -> Iterable[tuple[str, Schema]]:
    yield "x-correlation-id", {"description": "Names the request in the logs", "schema": {"type": "string"}}
    if status in (201, 202, 302):
        yield "Location", {"description": "Where to read on", "schema": {"type": "string"}}
    if status in (429, 503):
        yield "Retry-After", {"description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}


def _problems(endpoint: Endpoint) -> list[int]:
    """The errors that the serving of such an endpoint can answer."""
    statuses = {400, 404, 409, 500, 502, 503}
    if endpoint.roles != ANYONE:
        statuses |= {401, 403, 429}
    if endpoint.body is not None:
        statuses |= {413, 415}
    if endpoint.conditional:
        statuses |= {412, 428}
    if endpoint.idempotent:
        statuses |= {422}
    return sorted(statuses)
