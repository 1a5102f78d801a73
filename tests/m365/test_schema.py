"""The shortcut past the SDK's imports tells what the SDK tells."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

from msgraph.generated.models import entity

from local.m365 import schema


def told(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def test_the_base_of_all_models_tells_what_it_does_as_generated() -> None:
    schema.properties("contactFolder")
    generated = inspect.getsource(entity).partition("def get_field_deserializers(")[2].partition("def serialize(")[0]
    body = "def f(" + "\n".join(line for line in generated.splitlines() if " import " not in line)
    assert set(told(body)) == set(entity.Entity().get_field_deserializers()) == {"id", "@odata.type"}
