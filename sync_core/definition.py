"""What an admin configures, checked at the edge."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from sync_core.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Targets(_Strict):
    """Whose mailboxes get the folder: everybody with a usable mailbox, or the users named; never those excluded."""

    include: Literal["all"] | tuple[UUID, ...] = "all"
    exclude: tuple[UUID, ...] = ()


class Brakes(_Strict):
    """A drop or a mailbox's deletions hold when they exceed `percent` of what there was and are `at_least` many."""

    percent: int = Field(default=20, ge=1, le=100)
    at_least: int = Field(default=10, ge=1, le=1_000_000)


class SyncDefinition(_Strict):
    """A named sync: the directory's people into one contact folder of each target mailbox."""

    name: Name
    folder: Name
    targets: Targets = Targets()
    brakes: Brakes = Brakes()
    every_hours: int | None = Field(default=24, ge=1, le=168)  # None: only when asked
    purge_after_sync: bool = False

    @field_validator("folder")
    @classmethod
    def _folder_name(cls, value: str) -> str:
        if any(ord(character) < 32 for character in value):
            raise ValueError("must not hold control characters")
        return value


class TenantSettings(_Strict):
    """What holds for all syncs of a tenant.

    `default_country` (ISO 3166 alpha-2) reads the phone numbers of people without a country.
    """

    default_country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None


def parse(model: type[Model], value: object) -> Model:
    """Check `value` against `model`. Raises InputError that names the first wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Pydantic puts the alternatives of a union into the path, such as "tuple[UUID, ...]": no field's name ends like that
        field = ".".join(str(part) for part in first["loc"] if not str(part).endswith("]"))
        raise InputError(field, first["msg"].removeprefix("Value error, ")) from None
