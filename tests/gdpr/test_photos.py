"""A person's photo goes with the person, and is shown to whoever asks what is held on them."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import orjson
from PIL import Image

from gdpr.requests import RequestKind, RequestState
from sync_core.state.photos import PhotoStore
from tests.engine.test_photos import photo, staff
from tests.engine.world import TENANT, World
from tests.gdpr.privacy import asked, done
from tests.gdpr.test_export import fetched


async def store_of(world: World) -> PhotoStore:
    return PhotoStore(world.tables, await world.context.keyring.keys(TENANT), TENANT, 240)


async def test_an_erasure_takes_the_photo_along_and_leaves_those_of_others() -> None:
    world, people = await staff()
    await world.run()
    store = await store_of(world)
    assert len(await store.of(f"u:{people[0]}")) == 1
    request = await done(world, await asked(world, RequestKind.ERASURE, ids=(people[0],)))
    assert request.state is RequestState.DONE
    assert request.counts["photos"] == 1
    assert await store.of(f"u:{people[0]}") == []
    assert f"u:{people[0]}" not in {key for page in await store.pages() for key in page.known}
    assert len(await store.of(f"u:{people[1]}")) == 1
    newcomer = world.hire("New Hire")
    await world.run()
    assert photo(world, newcomer, people[1])
    assert f"u:{people[0]}" not in world.ours(newcomer)
    assert await store.of(f"u:{people[0]}") == []


async def test_an_export_shows_the_photo() -> None:
    world, people = await staff()
    await world.run()
    request = await done(world, await asked(world, RequestKind.EXPORT, ids=(people[0],)))
    held = orjson.loads((await fetched(world, request))["person.json"])
    [shown] = held["photos"]
    assert shown["source"] == "photos-240"
    assert Image.open(BytesIO(b64decode(shown["jpeg"]))).size == (240, 240)
