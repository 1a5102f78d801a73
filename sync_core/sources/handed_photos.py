"""Photos that come with people who are handed to us: of each, one in every size that a sync can ask for."""

from __future__ import annotations

from dataclasses import dataclass, field

from sync_core.photos import in_size, photo_name
from sync_core.sources.images import ImageError, photo_of, pixels_of
from sync_core.state.photos import place

SIDES = (240, 360)
MOST_PHOTOS = 20_000
MOST_PIXELS = 4_000_000_000
"""Of all images that come together: as many as a worker can decode in about a minute."""


class TooManyPhotosError(ValueError):
    """The photos are more than one worker should make."""


@dataclass(slots=True)
class Darkroom:
    """Makes the photos of one upload. `made` are those of a content, by its name, in the order of SIDES. `key` names contents."""

    key: bytes
    made: dict[str, list[bytes]] = field(default_factory=dict)
    photos: int = 0
    unreadable: int = 0
    _pixels: int = 0

    def develop(self, content: bytes) -> str:
        """The name of an image's content; "" when no photo can be made of it. Raises TooManyPhotosError."""
        name = photo_name(content, self.key)
        try:
            if name not in self.made:
                self._pixels += pixels_of(content)
                if self._pixels > MOST_PIXELS:
                    raise TooManyPhotosError(f"have more than {MOST_PIXELS // 1_000_000} megapixels in all")
                self.made[name] = [photo_of(content, side) for side in SIDES]
        except ImageError:
            self.unreadable += 1
            return ""
        self.photos += 1
        if self.photos > MOST_PHOTOS:
            raise TooManyPhotosError(f"are more than {MOST_PHOTOS}")
        return name

    def of(self, key: str, name: str) -> dict[str, bytes]:
        """A person's photos by place; none for a content that was not developed here."""
        return dict(zip(places(key, name), self.made.get(name, ()), strict=False))


def places(key: str, name: str) -> list[str]:
    """Where the photos of a person lie that are made of one content; nowhere without."""
    return [place(key, in_size(name, side)) for side in SIDES] if name else []
