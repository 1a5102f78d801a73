"""What all orders have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """An order that takes no fields but its own."""

    model_config = ConfigDict(extra="forbid")
