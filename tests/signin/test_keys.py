"""Where the keys come from, and when they are fetched."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.signin import keys
from api.signin.errors import AuthenticationError
from sync_core.errors import TransientError
from tests.signin.minting import AUTHORITY, ISSUER, TENANT, Entra, jwk, private_key

ROUND = 2  # documents that one fetch of the keys reads


@pytest.fixture
async def entra() -> Entra:
    entra = Entra()
    await entra.connect(TENANT)
    return entra


async def let_in(entra: Entra, **token: Any) -> bool:
    try:
        await entra.sign_in.authenticate(f"Bearer {entra.token(**token)}")
    except AuthenticationError:
        return False
    return True


async def test_keys_are_fetched_once_for_many_at_the_same_time(entra: Entra) -> None:
    assert all(await asyncio.gather(*(let_in(entra) for _ in range(20))))
    assert len(entra.fetched) == ROUND
    assert await let_in(entra)
    assert len(entra.fetched) == ROUND


async def test_a_new_key_is_found_without_a_restart_and_an_old_one_forgotten(entra: Entra) -> None:
    assert await let_in(entra)
    entra.clock.advance(keys.PAUSE)
    entra.keys = [jwk("two", 3)]
    assert await let_in(entra, key=3, kid="two")
    assert len(entra.fetched) == 2 * ROUND
    assert not await let_in(entra)


async def test_a_flood_of_made_up_keys_makes_one_fetch_per_minute(entra: Entra) -> None:
    assert await let_in(entra)
    entra.fetched.clear()
    entra.clock.advance(keys.PAUSE)
    begin = entra.clock.now()
    for number in range(500):
        assert not await let_in(entra, kid=f"made-up-{number}", key=3)
        assert await let_in(entra), "the others are served meanwhile"
        entra.clock.advance(timedelta(seconds=1))
    minutes = (entra.clock.now() - begin) / keys.PAUSE
    assert ROUND <= len(entra.fetched) <= ROUND * (minutes + 1)
    entra.fetched.clear()
    entra.clock.advance(keys.PAUSE)
    assert not any(await asyncio.gather(*(let_in(entra, kid=f"at-once-{number}", key=3) for number in range(100))))
    assert len(entra.fetched) == ROUND


async def test_old_keys_are_fetched_again_and_serve_for_a_while_when_that_fails(entra: Entra) -> None:
    assert await let_in(entra)
    entra.clock.advance(keys.FRESH)
    assert await let_in(entra)
    assert len(entra.fetched) == 2 * ROUND
    entra.down = True
    entra.clock.advance(keys.USABLE - timedelta(minutes=1))
    assert await let_in(entra)
    entra.clock.advance(timedelta(minutes=2))
    with pytest.raises(TransientError):
        await let_in(entra)
    entra.down = False
    entra.clock.advance(keys.PAUSE)
    assert await let_in(entra)


async def test_while_old_keys_are_fetched_nobody_else_waits(entra: Entra) -> None:
    assert await let_in(entra)
    entra.clock.advance(keys.FRESH)
    first = asyncio.create_task(let_in(entra))
    await asyncio.sleep(0)
    before = entra.clock.now()
    assert await let_in(entra)
    assert entra.clock.now() == before
    assert await first


async def test_without_any_keys_nobody_is_let_in_and_entra_is_asked_every_few_seconds(entra: Entra) -> None:
    entra.down = True
    for _ in range(10):
        with pytest.raises(TransientError):
            await let_in(entra)
    assert len(entra.fetched) == 1
    entra.down = False
    entra.clock.advance(keys.RETRY)
    assert await let_in(entra)


async def test_a_fetch_that_was_given_up_does_not_keep_others_out(entra: Entra) -> None:
    first = asyncio.create_task(let_in(entra))
    await asyncio.sleep(0)
    first.cancel()
    entra.clock.advance(keys.RETRY)
    assert await let_in(entra)


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": f"{AUTHORITY}/{TENANT}/v2.0"},
        {"issuer": "http://login.microsoftonline.com/{tenantid}/v2.0"},
        {"issuer": None},
        {"jwks_uri": "https://evil.example/keys"},
        {"jwks_uri": f"{AUTHORITY}.evil.example/keys"},
        {"jwks_uri": 7},
    ],
)
async def test_a_configuration_that_leads_elsewhere_lets_nobody_in(entra: Entra, configuration: dict[str, Any]) -> None:
    entra.configuration |= configuration
    with pytest.raises(TransientError):
        await let_in(entra)


@pytest.mark.parametrize(
    "changed",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"use": "enc"},
        {"alg": "RS512"},
        {"n": "AQAB"},
        {"n": 7},
        {"e": None},
        {"kid": 7},
        {"kid": ""},
        {"issuer": 7},
        {"issuer": "https://evil.example/{tenantid}/v2.0"},
    ],
)
async def test_only_keys_that_sign_tokens_are_taken(entra: Entra, changed: dict[str, Any]) -> None:
    entra.keys = [{**jwk("one"), **changed}]
    with pytest.raises(TransientError):
        await let_in(entra)
    entra.clock.advance(keys.RETRY)
    entra.keys = [*entra.keys, "junk", jwk("two", 3)]  # type: ignore[list-item] # as it may come
    assert await let_in(entra, key=3, kid="two")


async def test_a_short_key_is_not_taken(entra: Entra) -> None:
    short = private_key(9, 1024).public_key().public_numbers()
    modulus = jwk("short")
    import jwt.utils

    modulus["n"] = jwt.utils.to_base64url_uint(short.n).decode()
    entra.keys = [modulus]
    with pytest.raises(TransientError):
        await let_in(entra, kid="short", key=9)


async def test_a_key_without_an_issuer_is_the_documents(entra: Entra) -> None:
    entra.keys = [{name: value for name, value in jwk("one").items() if name != "issuer"}]
    assert await let_in(entra)
    assert entra.configuration["issuer"] == ISSUER
