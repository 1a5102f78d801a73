"""Any picture becomes a photo that phones take, or none at all."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from random import Random

import pytest
from PIL import Image

from sync_core.sources.images import LARGEST_FILE, MOST_BYTES, ImageError, photo_of


def picture(width: int, height: int, mode: str = "RGB", kind: str = "JPEG", **options: object) -> bytes:
    content = BytesIO()
    Image.new(mode, (width, height), 128 if mode == "L" else None).save(content, kind, **options)
    return content.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize(("width", "height", "size"), [(648, 648, (240, 240)), (1000, 500, (240, 120)), (90, 100, (90, 100))])
def test_formats_and_sizes(kind: str, width: int, height: int, size: tuple[int, int]) -> None:
    photo = opened(photo_of(picture(width, height, kind=kind), 240))
    assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", size)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_colours_on_white(mode: str) -> None:
    photo = opened(photo_of(picture(300, 300, mode, "PNG"), 240))
    assert photo.mode == "RGB"
    if mode == "RGBA":
        assert photo.getpixel((5, 5)) == (255, 255, 255)


def test_nothing_but_the_picture_is_left_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "where I was"
    content = picture(400, 200, exif=exif, comment=b"secret words", icc_profile=b"profile of a screen")
    assert b"where I was" in content
    photo = photo_of(content + b"hidden behind the end", 240)
    assert opened(photo).size == (120, 240)
    assert not opened(photo).getexif()
    for words in (b"where I was", b"secret words", b"profile of a screen", b"hidden", b"Exif"):
        assert words not in photo


def test_a_photo_is_never_large() -> None:
    noise = Image.frombytes("RGB", (648, 648), Random(1).randbytes(648 * 648 * 3))
    content = BytesIO()
    noise.save(content, "PNG")
    assert len(photo_of(content.getvalue(), 360)) <= MOST_BYTES


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        picture(300, 300)[:200],
        picture(300, 300)[:-400] + b"\xff" * 300,
        b"\0" * (LARGEST_FILE + 1),
        bomb(6000, 6000),
        bomb(60_000, 60_000),
        picture(10, 10, kind="TIFF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
    ids=["empty", "text", "cut", "broken", "too large", "36 megapixels", "3.6 gigapixels", "another format", "a program", "svg"],
)
def test_what_cannot_be_used(content: bytes) -> None:
    with pytest.raises(ImageError):
        photo_of(content, 240)


def test_equal_pictures_make_equal_photos() -> None:
    assert photo_of(picture(500, 500), 240) == photo_of(picture(500, 500), 240)
