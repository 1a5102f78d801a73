"""Table Storage, through azure-data-tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sync_core.errors import ConflictError, TransientError
from sync_core.ports import AllOf, Compare, Condition, Entity, Insert, Merge, Put, Remove, Replace, Row, Scalar, Write
from sync_core.state.rows import check_condition, check_key, check_writes, plain_values

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.exceptions import AzureError, HttpResponseError
    from azure.data.tables.aio import TableClient, TableServiceClient

PAGE_SIZE = 1000  # the most that one answer holds
Answer = TypeVar("Answer")
_KEYS = ("PartitionKey", "RowKey")
_CONFLICTS = {"EntityAlreadyExists", "UpdateConditionNotSatisfied", "ConditionNotMet", "ResourceNotFound", "EntityNotFound"}
_REPEATED = frozenset(["GET", "PUT", "PATCH", "DELETE", "POST"])  # `commit` tells what a repeated write may do
_GONE = {"ResourceNotFound", "EntityNotFound"}


class AzureTables:
    """Implements Tables.

    `transactions` counts the requests sent to storage, repeated ones included, by table and operation: get, query, scan,
    commit, create.
    """

    def __init__(
        self, *, connection_string: str = "", endpoint: str = "", credential: AsyncTokenCredential | None = None
    ) -> None:
        self.transactions: Counter[tuple[str, str]] = Counter()
        self._connection_string = connection_string
        self._endpoint = endpoint
        self._credential = credential
        self._service: TableServiceClient | None = None
        self._clients: dict[str, TableClient] = {}

    async def close(self) -> None:
        """Close the connections."""
        service, self._service = self._service, None
        self._clients.clear()
        if service:
            await service.close()

    async def get(self, table: str, partition: str, row: str, *, select: Sequence[str] | None = None) -> Entity | None:
        """See Tables."""
        check_key(partition)
        check_key(row)
        try:
            found = await self._call(
                table, "get", lambda client, call: client.get_entity(partition, row, select=_with_keys(select), **call)
            )
        except _Refused as refused:
            if refused.code in _GONE or refused.code == "TableNotFound":
                return None
            raise refused.error from None
        return _entity(found)

    def query(
        self,
        table: str,
        partition: str,
        *,
        start: str = "",
        end: str = "",
        where: Condition | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Entity]:
        """See Tables."""
        check_key(partition)
        query = _Query()
        query.key("PartitionKey", "eq", partition)
        query.key("RowKey", "ge", start)
        query.key("RowKey", "lt", end)
        query.where(where)
        return self._pages(table, "query", query, select, None)

    def scan(
        self,
        table: str,
        *,
        partitions_from: str = "",
        partitions_to: str = "",
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Entity]:
        """See Tables."""
        query = _Query()
        query.key("PartitionKey", "ge", partitions_from)
        query.key("PartitionKey", "lt", partitions_to)
        query.where(where)
        return self._pages(table, "scan", query, select, limit)

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        """See Tables. A commit that was sent twice and then conflicts may conflict with itself: TransientError."""
        check_writes(partition, writes)
        prepared = list(writes)
        while True:
            try:
                answers = await self._write(table, partition, prepared)
            except _Refused as refused:
                missing = refused.code in _GONE and isinstance(prepared[refused.index], Remove)
                if not missing:
                    if refused.code in _CONFLICTS:
                        raise ConflictError("the row exists or has changed") from None
                    raise refused.error from None
                # The service names only the first missing row; the others are looked up so as not to meet them one by one.
                prepared = await self._without_missing(table, partition, prepared)
                if not prepared:
                    answers = []
                else:
                    continue
            etags = {write.row: str(answer.get("etag") or "") for write, answer in zip(prepared, answers, strict=True)}
            return ["" if isinstance(write, Remove) else etags[write.row] for write in writes]

    async def _write(self, table: str, partition: str, writes: Sequence[Write]) -> Sequence[Mapping[str, Any]]:
        # The HTTP client beneath repeats a PUT by itself; a condition must not meet its own first attempt, so it goes by POST.
        if len(writes) > 1 or isinstance(writes[0], Replace):
            operations = [_operation(partition, write) for write in writes]
            return await self._call(
                table, "commit", lambda client, call: client.submit_transaction(operations, **call), create=True
            )
        write = writes[0]
        return [await self._call(table, "commit", lambda client, call: _single(client, partition, write, call), create=True)]

    async def _without_missing(self, table: str, partition: str, writes: Sequence[Write]) -> list[Write]:
        removed = sorted(write.row for write in writes if isinstance(write, Remove))
        found = {entity.row async for entity in self.query(table, partition, start=removed[0], end=removed[-1] + "\0", select=())}
        return [write for write in writes if not isinstance(write, Remove) or write.row in found]

    async def _pages(
        self, table: str, operation: str, query: _Query, select: Sequence[str] | None, limit: int | None
    ) -> AsyncIterator[Entity]:
        size = PAGE_SIZE if limit is None else min(limit, PAGE_SIZE)
        call: dict[str, Any] = {"results_per_page": size, "select": _with_keys(select)}
        call |= self._options(table, operation)
        client = await self._client(table)
        rows = client.query_entities(str(query), parameters=query.parameters, **call) if query else client.list_entities(**call)
        pages = rows.by_page()
        given = 0
        while True:
            try:
                page = await _mapped(_next(pages))
            except _Refused as refused:
                if refused.code == "TableNotFound":
                    return
                raise refused.error from None
            if page is None:
                return
            for found in page:
                yield _entity(found)
                given += 1
                if given == limit:
                    return

    async def _call(
        self,
        table: str,
        operation: str,
        request: Callable[[TableClient, dict[str, Any]], Awaitable[Answer]],
        *,
        create: bool = False,
    ) -> Answer:
        """Send a request; with `create`, make the table if that is what is missing. Raises _Refused."""
        client = await self._client(table)
        call = self._options(table, operation)
        try:
            return await _mapped(request(client, call))
        except _Refused as refused:
            if create and refused.code == "TableNotFound":
                await self._create(table, client)
                return await self._call(table, operation, request)
            if refused.code in _CONFLICTS and call["raw_request_hook"].sent > 1:
                raise TransientError("a repeated write met a conflict, perhaps with itself") from None
            raise

    async def _create(self, table: str, client: TableClient) -> None:
        try:
            await _mapped(client.create_table(**self._options(table, "create")))
        except _Refused as refused:
            if refused.code != "TableAlreadyExists":
                raise refused.error from None

    def _options(self, table: str, operation: str) -> dict[str, Any]:
        # Left alone, the SDK does not send a POST again when a connection breaks, as idle ones do when the server drops them.
        return {"raw_request_hook": _Attempts(self.transactions, (table, operation)), "retry_on_methods": _REPEATED}

    async def _client(self, table: str) -> TableClient:
        if self._service is None:
            self._service = self._connect()
        if table not in self._clients:
            self._clients[table] = self._service.get_table_client(table)
        return self._clients[table]

    def _connect(self) -> TableServiceClient:
        from azure.data.tables.aio import TableServiceClient

        # The SDK calls a hook given with a request only for the first attempt; repeated ones come to the client's own hook.
        options: dict[str, Any] = {
            "raw_request_hook": _repeated,
            "retry_total": 5,
            "retry_backoff_factor": 0.4,
            "retry_backoff_max": 10,
        }
        if self._connection_string:
            return TableServiceClient.from_connection_string(self._connection_string, **options)
        return TableServiceClient(endpoint=self._endpoint, credential=self._credential, **options)


class _Attempts:
    """Counts how often one request is sent."""

    def __init__(self, transactions: Counter[tuple[str, str]], name: tuple[str, str]) -> None:
        self._transactions = transactions
        self._name = name
        self.sent = 0

    def __call__(self, _request: object) -> None:
        self.sent += 1
        self._transactions[self._name] += 1


def _repeated(request: Any) -> None:
    request.context["raw_request_hook"](request)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """The service refused a request: `code` is its error code, `index` the operation within a transaction."""

    def __init__(self, code: str, index: int, error: HttpResponseError) -> None:
        self.code = code
        self.index = index
        self.error = error


async def _mapped(request: Awaitable[Answer]) -> Answer:
    """Await a request. Raises _Refused, or TransientError when the service was busy or could not be reached."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        return await request
    except HttpResponseError as error:
        if error.status_code is None or error.status_code in (408, 429) or error.status_code >= 500:
            raise TransientError(f"table storage answered {error.status_code}") from None
        raise _Refused(_code(error), getattr(error, "index", 0), error) from None
    except AzureError as error:
        if _unreachable(error):
            raise TransientError(f"table storage could not be reached: {type(error).__name__}") from None
        raise


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    if code is None and error.response is not None:  # an insert's error comes undecoded
        try:
            code = json.loads(error.response.text())["odata.error"]["code"]
        except (ValueError, KeyError, TypeError):
            code = ""
    return str(getattr(code, "value", code) or "")


def _unreachable(error: AzureError) -> bool:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    return isinstance(error, ServiceRequestError | ServiceResponseError)


async def _next(pages: AsyncIterator[AsyncIterator[Any]]) -> list[Any] | None:
    try:
        page = await anext(pages)
    except StopAsyncIteration:
        return None
    return [row async for row in page]


async def _single(
    client: TableClient, partition: str, write: Insert | Put | Merge | Remove, call: dict[str, Any]
) -> Mapping[str, Any]:
    from azure.data.tables import UpdateMode

    match write:
        case Insert(row, values):
            return await client.create_entity(_stored(partition, row, values), response_preference="return-no-content", **call)
        case Put(row, values):
            return await client.upsert_entity(_stored(partition, row, values), mode=UpdateMode.REPLACE, **call)
        case Merge(row, values):
            return await client.upsert_entity(_stored(partition, row, values), mode=UpdateMode.MERGE, **call)
        case Remove(row):
            await client.delete_entity(partition, row, **call)
            return {}


def _with_keys(select: Sequence[str] | None) -> list[str] | None:
    return None if select is None else [*_KEYS, *select]


def _operation(partition: str, write: Write) -> tuple[str, dict[str, Any], dict[str, Any]]:
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    match write:
        case Insert(row, values):
            return "create", _stored(partition, row, values), {"response_preference": "return-no-content"}
        case Put(row, values):
            return "upsert", _stored(partition, row, values), {"mode": UpdateMode.REPLACE}
        case Merge(row, values):
            return "upsert", _stored(partition, row, values), {"mode": UpdateMode.MERGE}
        case Replace(row, values, etag):
            condition = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified}
            return "update", _stored(partition, row, values), condition
        case Remove(row):
            return "delete", {"PartitionKey": partition, "RowKey": row}, {}


def _stored(partition: str, row: str, values: Row) -> dict[str, Any]:
    from azure.data.tables import EdmType, EntityProperty

    stored: dict[str, Any] = {"PartitionKey": partition, "RowKey": row}
    for name, value in plain_values(partition, row, values).items():
        # every integer is stored with 64 bits, so that filters compare like with like
        stored[name] = EntityProperty(value, EdmType.INT64) if type(value) is int else value
    return stored


def _entity(found: Mapping[str, Any]) -> Entity:
    values = {name: _scalar(value) for name, value in found.items() if name not in _KEYS}
    return Entity(found["PartitionKey"], found["RowKey"], values, found.metadata["etag"])  # type: ignore[attr-defined]  # a TableEntity


def _scalar(value: Any) -> Scalar:
    if isinstance(value, tuple):  # EntityProperty
        value = value[0]
    if isinstance(value, datetime):  # the SDK's own subclass writes back the text it was read from
        return datetime.combine(value.date(), value.time(), UTC)
    scalar: Scalar = value
    return scalar


class _Query:
    """Builds a filter whose values are parameters, never part of its text."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self._parts: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __str__(self) -> str:
        return " and ".join(self._parts)

    def key(self, name: str, op: str, value: str) -> None:
        if value:
            self._parts.append(f"{name} {op} {self._parameter(value)}")

    def where(self, condition: Condition | None) -> None:
        if condition is not None:
            check_condition(condition)
            self._parts.append(self._text(condition))

    def _text(self, condition: Condition) -> str:
        # Blanks stand around every word because the SDK finds parameters by splitting at them.
        if isinstance(condition, Compare):
            name, op, value = condition.name, condition.op, condition.value
            if op == "ne" and isinstance(value, bool):
                op, value = "eq", not value
            if op == "ne":  # emulators let a missing property match "ne"
                return f"( {name} lt {self._parameter(value)} or {name} gt {self._parameter(value)} )"
            return f"{name} {op} {self._parameter(value)}"
        word = " and " if isinstance(condition, AllOf) else " or "
        return "( " + word.join(self._text(part) for part in condition.conditions) + " )"

    def _parameter(self, value: str | int | bool | datetime) -> str:
        if type(value) is int:  # the SDK would write 0 and 1 as truth values and drop the L below 33 bits
            return f"{value}L"
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"@{name}"
