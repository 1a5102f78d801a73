from __future__ import annotations

from typing import Any

import pytest

from sync_core.definition import SyncDefinition, parse
from sync_core.errors import InputError

DEFINITION: dict[str, Any] = {"name": "Colleagues", "folder": "Colleagues"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"colour": "red"}, "colour"),
        ({"targets": {"include": "some"}}, "targets.include"),
        ({"targets": {"include": ["x"]}}, "targets.include.0"),
        ({"targets": {"include": {"groups": ["x"]}}}, "targets.include.groups.0"),
        ({"targets": {"exclude": "all"}}, "targets.exclude"),
        ({"targets": {"include": {"rule": {"attribute": "mood"}}}}, "targets.include.rule.attribute"),
        ({"targets": {"exclude": ["x"]}}, "targets.exclude.0"),
        ({"brakes": {"percent": 0}}, "brakes.percent"),
    ],
)
def test_errors_name_the_field_and_not_the_alternatives_of_its_type(change: dict[str, Any], field: str) -> None:
    parse(SyncDefinition, DEFINITION)
    with pytest.raises(InputError) as caught:
        parse(SyncDefinition, {**DEFINITION, **change})
    assert caught.value.field == field
