"""Photos over Graph: users' are read, contacts' are read and written.

https://learn.microsoft.com/graph/api/profilephoto-get and https://learn.microsoft.com/graph/api/profilephoto-update. The photo of
a contact cannot be deleted: https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/6340.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Any

from local.m365 import odata
from local.m365.call import Call
from local.m365.contacts_api import contact_at
from local.m365.mailbox import MailboxState
from local.m365.photos import SIZES, UserPhoto
from local.m365.wire import GraphError, Reply

LARGEST = 4 * 1024 * 1024
_NO_SIZE = 1
_WITHOUT_EXCHANGE = (MailboxState.NONE, MailboxState.ON_PREMISES)


def get_user_photo(call: Call) -> Reply:
    """What is known of a user's photo in its largest size."""
    photo = _of_user(call)
    side = max((size for size in SIZES if size <= photo.side), default=photo.side)
    return _metadata(call, "photo", photo.etag, side)


def get_user_photo_size(call: Call) -> Reply:
    """The same in one size; 1x1 stands for a size that there is not."""
    photo, side = _of_user(call), _size(call)
    return _metadata(call, "photos", photo.etag, side if _in_size(call, photo, side) is not None else _NO_SIZE)


def list_user_photos(call: Call) -> Reply:
    """All sizes of a user's photo."""
    odata.allow(call.query)
    photo = _of_user(call)
    found = [_shown(photo.etag, size) for size in SIZES if _in_size(call, photo, size) is not None]
    return Reply(200, {"@odata.context": call.context(f"users('{call.box.owner}')/photos"), "value": found})


def get_user_photo_value(call: Call) -> Reply:
    """A user's photo in its largest size."""
    photo = _of_user(call)
    return _image(call, photo.original, photo.etag)


def get_user_photo_size_value(call: Call) -> Reply:
    """A user's photo in one size."""
    photo = _of_user(call)
    content = _in_size(call, photo, _size(call))
    if content is None:
        raise not_found()
    return _image(call, content, photo.etag)


def get_contact_photo(call: Call) -> Reply:
    """What is known of a contact's photo."""
    odata.allow(call.query)
    content = contact_at(call).photo
    if not content:
        raise not_found()
    return _metadata(call, "contacts", _etag(content), UserPhoto(content, 0).side)


def get_contact_photo_value(call: Call) -> Reply:
    """A contact's photo."""
    odata.allow(call.query)
    content = contact_at(call).photo
    if not content:
        raise not_found()
    return _image(call, content, _etag(content))


def put_contact_photo(call: Call) -> Reply:
    """Give a contact a photo in the place of the one it has."""
    odata.allow(call.query)
    contact = contact_at(call)
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise GraphError(400, "ErrorInvalidRequest", "The Content-Type must be that of an image.")
    content = _body(call.body)
    if len(content) >= LARGEST:
        raise GraphError(413, "RequestEntityTooLarge", "The photo is larger than 4 MB.")
    if not UserPhoto(content, 0).side:
        raise GraphError(400, "ErrorInvalidImage", "The content is not an image.")
    call.box.set_photo(contact, content)
    return Reply(200)


def not_found() -> GraphError:
    """What Graph says where there is no photo."""
    message = "Exception of type 'Microsoft.Fast.Profile.Core.Exception.ImageNotFoundException' was thrown."
    return GraphError(404, "ImageNotFound", message)


def _body(body: Any) -> bytes:
    """The bytes of a single request, or those that an item of a batch has as base64."""
    if isinstance(body, bytes):
        return body
    try:
        return b64decode(body or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise GraphError(400, "BadRequest", "The body of the request is not base64.") from None


def _of_user(call: Call) -> UserPhoto:
    odata.allow(call.query)
    photo = call.tenant.photos.get(call.box.owner)
    if photo is None:
        raise not_found()
    return photo


def _size(call: Call) -> int:
    for size in SIZES:
        if call.params[-1].lower() == f"{size}x{size}":
            return size
    raise GraphError(400, "ErrorInvalidImageId", f"The photo size '{call.params[-1]}' is not valid.")


def _in_size(call: Call, photo: UserPhoto, side: int) -> bytes | None:
    """Exchange Online makes the sizes: without a mailbox there is only what the directory has."""
    return None if call.box.state in _WITHOUT_EXCHANGE else photo.in_size(side)


def _metadata(call: Call, what: str, etag: str, side: int) -> Reply:
    return Reply(200, {"@odata.context": call.context(f"users('{call.box.owner}')/{what}/$entity"), **_shown(etag, side)})


def _shown(etag: str, side: int) -> dict[str, Any]:
    return {
        "@odata.mediaContentType": "image/jpeg",
        "@odata.mediaEtag": etag,
        "id": f"{side}x{side}",
        "height": side,
        "width": side,
    }


def _image(call: Call, content: bytes, etag: str) -> Reply:
    headers = {"Content-Type": "image/jpeg", "ETag": etag}
    return Reply(200, b64encode(content).decode() if call.item is not None else content, headers)


def _etag(content: bytes) -> str:
    return f'"{blake2b(content, digest_size=16).hexdigest()}"'
