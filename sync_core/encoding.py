"""JSON bytes for keeping."""

from __future__ import annotations

from typing import Any

import orjson


def kept(value: Any) -> bytes:
    """The value as JSON, for keeping many such: what orjson hands out still fills its working buffer, several times as large."""
    return bytes(memoryview(orjson.dumps(value)))
