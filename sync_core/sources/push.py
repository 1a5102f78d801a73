"""Items that another system pushes: what one may look like, and who it is."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from sync_core import directory
from sync_core.errors import InputError
from sync_core.photos import PHOTO
from sync_core.sources.base import short_hash
from sync_core.sources.handed_photos import Darkroom, TooManyPhotosError
from sync_core.sources.images import MOST_PIXELS

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^\s@]+@[^\s@]+$")]
ItemId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

LARGEST_PHOTO = 1_400_000
"""Characters of base64: an image of a megabyte."""

Base64 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LARGEST_PHOTO)]

MOST_ITEMS = 100_000


class PushedPerson(BaseModel):
    """A person, as a CRM or any other system knows them. The fields are named as Microsoft Graph names them.

    `photo` is an image (JPEG, PNG, GIF, WebP or BMP) in base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    display_name: Text = ""
    given_name: Text = ""
    surname: Text = ""
    company_name: Text = ""
    department: Text = ""
    job_title: Text = ""
    office_location: Text = ""
    mail: Email | None = None
    other_mails: tuple[Email, ...] = Field(default=(), max_length=10)
    mobile_phone: Text = ""
    business_phones: tuple[Text, ...] = Field(default=(), max_length=10)
    street_address: Text = ""
    city: Text = ""
    state: Text = ""
    postal_code: Text = ""
    country: Text = ""
    photo: Base64 = ""


class PushedItem(PushedPerson):
    """A person with the id that the other system has for them, and never changes."""

    id: ItemId


def key_of(source: str, item_id: str) -> str:
    """The key of an item of a push source: letters of different case make different ids, as Salesforce has them."""
    return f"p:{short_hash(source, item_id.strip())}"


def person_of(item: PushedItem, darkroom: Darkroom) -> dict[str, Any]:
    """The item in the properties of a user; its photo is made in the darkroom. Raises InputError when there can be none."""
    values = item.model_dump(by_alias=True, exclude={"id", "other_mails", "photo"})
    mails = [mail for mail in (item.mail, *item.other_mails) if mail]
    aliases = [f"smtp:{mail}" for mail in mails[1:]]
    person = directory.merge(None, {**values, "id": "", "mail": next(iter(mails), None), "proxyAddresses": aliases})
    return person | {PHOTO: _developed(item.photo, darkroom)} if item.photo else person


def _developed(photo: str, darkroom: Darkroom) -> str:
    try:
        name = darkroom.develop(b64decode(photo, validate=True))
    except TooManyPhotosError as error:
        raise InputError("photo", f"cannot be taken: those of all items {error}") from None
    except ValueError:
        raise InputError("photo", "must be base64") from None
    if not name:
        raise InputError("photo", f"must be an image that can be read, of at most {MOST_PIXELS} pixels")
    return name
