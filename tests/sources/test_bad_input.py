"""What an admin gets wrong is told by its place, and nothing of it is applied."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.definition import SyncDefinition, TenantSettings, parse
from sync_core.engine import uploads
from sync_core.errors import InputError
from sync_core.sources.files.entries import FileError
from tests.engine.world import TENANT
from tests.sources.lists import Lists


def rule(**values: Any) -> dict[str, Any]:
    return {"selection": {"rule": {"all": [{"attribute": "enabled", "operator": "is", "value": True}, values]}}}


@pytest.mark.parametrize(
    ("values", "field", "problem"),
    [
        (
            rule(attribute="shoeSize", operator="is", values=["46"]),
            "selection.rule.all.1.attribute",
            "unknown attribute: use one",
        ),
        (rule(attribute="department", operator="sounds_like", values=["x"]), "selection.rule.all.1.operator", "'is'"),
        (
            rule(attribute="country", operator="is", values=["DE", "Utopia"]),
            "selection.rule.all.1.values",
            "no country at place 1",
        ),
        (rule(attribute="department", operator="is", values=[]), "selection.rule.all.1.values", "at least one value"),
        ({"schedule": {"kind": "daily", "at": "02:00", "time_zone": "Mars/Olympus"}}, "schedule.time_zone", "time zone"),
        ({"schedule": {"kind": "daily", "at": "25:00", "time_zone": "UTC"}}, "schedule.at", ""),
        ({"sources": [{"kind": "directory"}, {"kind": "fax"}]}, "sources.1", "needs a kind"),
        ({"fields": {"rules": {"jobTitle": {"source": "shoeSize"}}}}, "fields.rules.jobTitle.source", "must be one of"),
        ({"own_card": "maybe"}, "own_card", "'show'"),
        ({"colour": "red"}, "colour", ""),
    ],
)
def test_a_definition(values: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(SyncDefinition, {"name": "People", "folder": "People", **values})
    assert caught.value.field == field
    assert problem in caught.value.problem


def test_a_tenants_country() -> None:
    with pytest.raises(InputError) as caught:
        parse(TenantSettings, {"default_country": "XX"})
    assert caught.value.field == "default_country"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("Name,E-mail Address\nJörg Müller,joerg@example.com\n".encode() + b"\xff,x@example.com\n", "line 3"),
        (b"Name,E-mail Address\nAnn,ann@example.com\n=HYPERLINK(1),ben@example.com\n", "row 3, column A"),
        (b"Name,E-mail Address,Name\nAnn,ann@example.com,Ann\n", "row 1, column C"),
        (b'Name,E-mail Address\nAnn,ann@example.com\n"Ben,ben@example.com\n', "row 3"),
        (b"Shoe size\n46\n", "row 1"),
    ],
)
async def test_a_file_leaves_the_last_upload_as_it_was(body: bytes, place: str) -> None:
    world = Lists()
    await world.set_up({"kind": "file", "id": "partners"})
    good = b"Name,E-mail Address\nCleo,cleo@example.com\n"
    first = await uploads.upload_file(world.context, TENANT, "partners", good, "text/csv")
    with pytest.raises(FileError) as caught:
        await uploads.upload_file(world.context, TENANT, "partners", body, "text/csv")
    assert caught.value.problems[0].place == place
    assert await uploads.look_at(world.context, TENANT, "file-partners") == first.filled
    await world.good()
    assert world.listed() == ["Cleo"]
