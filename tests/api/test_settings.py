"""A tenant's settings and caches over HTTP."""

from __future__ import annotations

from sync_core.state.names import CACHES
from tests.api.client import Client
from tests.engine.world import SYNC, World


async def test_settings_are_replaced_as_they_were_read(admin: Client) -> None:
    read = await admin("GET", "settings")
    assert read.json["default_country"] == "DE"
    etag = read.headers["etag"]
    replaced = await admin("PUT", "settings", {"default_country": "FR"}, If_Match=etag)
    assert (replaced.status, replaced.json["default_country"]) == (200, "FR")
    assert replaced.headers["etag"] != etag
    assert (await admin("PUT", "settings", {"default_country": "IT"}, If_Match=etag)).status == 412
    wrong = await admin("PUT", "settings", {"default_country": "Italy"}, If_Match="*")
    assert wrong.json["errors"][0]["field"] == "default_country"


async def test_caches_are_emptied(admin: Client, world: World) -> None:
    world.hire_many(1)
    await world.run()

    async def rows() -> int:
        return sum([len([row async for row in world.tables.scan(table)]) for table in CACHES])

    assert await rows() > 0
    assert (await admin("POST", "purge", {"sync": "no-such"})).status == 404
    assert (await admin("POST", "purge", {"sync": SYNC})).status == 204
    assert await rows() == 0
