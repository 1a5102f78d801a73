"""Profile photos: those that users have, in the sizes that Microsoft 365 makes of them, and drawn ones for demo people.

https://learn.microsoft.com/graph/api/resources/profilephoto
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO

SIZES = (48, 64, 96, 120, 240, 360, 432, 504, 648)
"""Pixels of the sides that Exchange Online makes."""

DRAWN = 648


@dataclass(frozen=True, slots=True)
class UserPhoto:
    """A user's photo: an image in any format, or the seed of a drawn one. `version` grows with each upload."""

    source: bytes | int
    version: int

    @property
    def etag(self) -> str:
        """What tells one upload from another."""
        seed = self.source if isinstance(self.source, bytes) else str(self.source).encode()
        return f'"{blake2b(seed, digest_size=32, salt=self.version.to_bytes(8, "big")).hexdigest().upper()}"'

    @property
    def side(self) -> int:
        """Pixels of the longer side; 0 for what is no image."""
        return DRAWN if isinstance(self.source, int) else _side(self.source)

    def in_size(self, side: int) -> bytes | None:
        """The photo in one of the sizes; None when it is smaller. What is no image comes as it is."""
        if isinstance(self.source, int):
            return drawn(self.source, side)
        if not self.side:
            return self.source
        return _shrunk(self.source, side) if self.side >= side else None

    @property
    def original(self) -> bytes:
        """The photo in its largest size."""
        return drawn(self.source, DRAWN) if isinstance(self.source, int) else self.source


@lru_cache(maxsize=512)
def drawn(seed: int, side: int) -> bytes:
    """A face of sorts as JPEG, the same for the same seed."""
    from PIL import Image, ImageDraw

    colours = blake2b(str(seed).encode(), digest_size=9).digest()
    image = Image.new("RGB", (side, side), (*colours[:3],))
    pen = ImageDraw.Draw(image)
    pen.ellipse((side * 0.3, side * 0.15, side * 0.7, side * 0.6), fill=(*colours[3:6],))
    pen.ellipse((side * 0.1, side * 0.65, side * 0.9, side * 1.4), fill=(*colours[6:9],))
    return _jpeg(image)


@lru_cache(maxsize=64)
def _shrunk(source: bytes, side: int) -> bytes:
    from PIL import Image

    with Image.open(BytesIO(source)) as image:
        return _jpeg(image.convert("RGB").resize((side, side)))


@lru_cache(maxsize=64)
def _side(source: bytes) -> int:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(source)) as image:
            return max(image.size)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return 0


def _jpeg(image: object) -> bytes:
    from PIL import Image

    assert isinstance(image, Image.Image)
    content = BytesIO()
    image.save(content, "JPEG", quality=85)
    return content.getvalue()
