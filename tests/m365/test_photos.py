"""Photos of users and contacts."""

from __future__ import annotations

import base64
from io import BytesIO

from PIL import Image

from local.m365.photos import drawn
from tests.m365.conftest import IMMUTABLE, World, refused

JPEG = {"Content-Type": "image/jpeg"}


async def a_contact(world: World) -> str:
    answer = await world.client.post(f"{world.me}/contacts", json={"displayName": "Kim"}, headers=IMMUTABLE)
    return f"{world.me}/contacts/{answer.json()['id']}"


async def batched(world: World, *items: dict[str, object]) -> list[dict[str, object]]:
    requests = [{"id": str(number), **item} for number, item in enumerate(items)]
    answer = await world.client.post("/$batch", json={"requests": requests})
    return sorted(answer.json()["responses"], key=lambda item: item["id"])


async def test_who_has_no_photo(world: World) -> None:
    for path in ("photo", "photo/$value", "photos", "photos/240x240", "photos/240x240/$value"):
        refused(await world.client.get(f"{world.me}/{path}"), 404, "ImageNotFound")


async def test_metadata_and_content_in_each_size(world: World) -> None:
    world.tenant.set_photo(world.user, drawn(1, 400))
    largest = (await world.client.get(f"{world.me}/photo")).json()
    assert (largest["width"], largest["height"], largest["id"]) == (360, 360, "360x360")
    assert largest["@odata.mediaContentType"] == "image/jpeg"
    sizes = (await world.client.get(f"{world.me}/photos")).json()["value"]
    assert [shown["width"] for shown in sizes] == [48, 64, 96, 120, 240, 360]
    answer = await world.client.get(f"{world.me}/photos/240x240/$value")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(answer.content)).size == (240, 240)
    assert (await world.client.get(f"{world.me}/photos/648x648")).json()["width"] == 1
    refused(await world.client.get(f"{world.me}/photos/648x648/$value"), 404, "ImageNotFound")
    refused(await world.client.get(f"{world.me}/photos/241x241"), 400, "ErrorInvalidImageId")


async def test_another_upload_is_another_etag_even_of_the_same_image(world: World) -> None:
    etags = []
    for _ in range(2):
        world.tenant.set_photo(world.user, 7)
        etags.append((await world.client.get(f"{world.me}/photo")).json()["@odata.mediaEtag"])
    assert etags[0] != etags[1]


async def test_without_a_mailbox_there_is_only_what_the_directory_has(world: World) -> None:
    world.tenant.set_photo(world.user, 7)
    world.tenant.set_mailbox_state(world.user, "none")
    assert (await world.client.get(f"{world.me}/photo/$value")).content == drawn(7, 648)
    refused(await world.client.get(f"{world.me}/photos/240x240/$value"), 404, "ImageNotFound")
    world.tenant.set_mailbox_state(world.user, "outOfScope")
    refused(await world.client.get(f"{world.me}/photo"), 403, "ErrorAccessDenied")


async def test_a_permission_of_its_own(world: World) -> None:
    world.tenant.set_photo(world.user, 7)
    world.tenant.app.permissions -= {"ProfilePhoto.Read.All"}
    await world.sign_in()
    refused(await world.client.get(f"{world.me}/photo"), 403, "ErrorAccessDenied")


async def test_a_contact_gets_a_photo_and_a_new_change_key(world: World) -> None:
    contact = await a_contact(world)
    refused(await world.client.get(f"{contact}/photo"), 404, "ImageNotFound")
    before = (await world.client.get(contact)).json()["changeKey"]
    assert (await world.client.put(f"{contact}/photo/$value", content=drawn(1, 48), headers=JPEG)).status_code == 200
    assert (await world.client.get(f"{contact}/photo/$value")).content == drawn(1, 48)
    assert (await world.client.get(f"{contact}/photo")).json()["width"] == 48
    assert (await world.client.get(contact)).json()["changeKey"] != before
    assert (await world.client.delete(f"{contact}/photo")).status_code == 405


async def test_photos_in_a_batch_are_base64(world: World) -> None:
    world.tenant.set_photo(world.user, 7)
    contact = await a_contact(world)
    url = f"{contact}/photo/$value"
    read, metadata = await batched(
        world,
        {"method": "GET", "url": f"{world.me}/photos/48x48/$value"},
        {"method": "GET", "url": f"{world.me}/photo"},
    )
    assert base64.b64decode(str(read["body"])) == drawn(7, 48)
    assert read["headers"]["Content-Type"] == "image/jpeg"  # type: ignore[index] # JSON
    assert metadata["body"]["width"] == 648  # type: ignore[index] # JSON
    (put,) = await batched(world, {"method": "PUT", "url": url, "headers": JPEG, "body": base64.b64encode(drawn(2, 48)).decode()})
    assert put["status"] == 200
    assert (await world.client.get(url)).content == drawn(2, 48)


async def test_what_is_no_photo_is_refused(world: World) -> None:
    contact = await a_contact(world)
    url = f"{contact}/photo/$value"
    refused(await world.client.put(url, content=b"no image", headers=JPEG), 400, "ErrorInvalidImage")
    refused(await world.client.put(url, content=drawn(1, 48), headers={"Content-Type": "text/plain"}), 400, "ErrorInvalidRequest")
    refused(await world.client.put(url, content=bytes(4 * 1024 * 1024), headers=JPEG), 413, "RequestEntityTooLarge")
    (put,) = await batched(world, {"method": "PUT", "url": url, "headers": JPEG, "body": "no base64!"})
    assert put["status"] == 400
    refused(await world.client.get(url), 404, "ImageNotFound")


async def test_a_full_mailbox_takes_no_photo(world: World) -> None:
    contact = await a_contact(world)
    world.tenant.set_mailbox_state(world.user, "full")
    answer = await world.client.put(f"{contact}/photo/$value", content=drawn(1, 48), headers=JPEG)
    refused(answer, 507, "ErrorQuotaExceeded")
