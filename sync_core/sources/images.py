"""Makes of any picture a photo that phones take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_FILE = 4 * 1024 * 1024
MOST_PIXELS = 32_000_000
"""Of an image before it is made smaller: a few hundred bytes can claim to hold gigabytes of them."""

MOST_BYTES = 100_000
"""Of a photo: over ActiveSync, phones drop those of more than 200 KB, and twenty of them share a request of 4 MB."""

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
_QUALITIES = (88, 75, 60, 45, 30)


class ImageError(ValueError):
    """This is no image of which a photo can be made."""


def photo_of(content: bytes, side: int) -> bytes:
    """The image as JPEG of at most `side` pixels a side, upright, with nothing in it but the picture. Raises ImageError.

    It is always encoded anew: whatever else the file holds (where it was taken, a smaller copy, text) stays behind.
    """
    with _opened(content) as image:
        return _encoded(_prepared(image, side))


def pixels_of(content: bytes) -> int:
    """How many pixels the image has, before any of them is decoded. Raises ImageError as `photo_of` does, but for broken ones."""
    with _opened(content) as image:
        return image.width * image.height


@contextmanager
def _opened(content: bytes) -> Iterator[Image]:
    if not content or len(content) > LARGEST_FILE:
        raise ImageError("empty, or too large")
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ImageError("too many pixels")
            yield image
    except ImageError:
        raise
    except Exception as error:  # decoders raise errors of many kinds at broken files
        raise ImageError(type(error).__name__) from None


def _prepared(image: Image, side: int) -> Image:
    from PIL import Image, ImageOps

    image.draft("RGB", (side * 2, side * 2))  # JPEG decoders can leave out what would be thrown away
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    upright = upright.convert("RGB")
    upright.thumbnail((side, side), Image.Resampling.LANCZOS)
    return upright


def _encoded(image: Image) -> bytes:
    image.info.clear()
    for quality in _QUALITIES:
        content = BytesIO()
        image.save(content, "JPEG", quality=quality, optimize=True)
        if content.tell() <= MOST_BYTES:
            return content.getvalue()
    raise ImageError("cannot be made small enough")
