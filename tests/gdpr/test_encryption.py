from __future__ import annotations

import asyncio
import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdpr.encryption import KEYS_ROW, MASTER_KEY, TenantKeyring, TenantSealer
from local.memory import MemoryTables
from sync_core.errors import InputError, LostPagesError, NotFoundError
from sync_core.ports import Put, Row
from sync_core.state.names import TENANTS

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SEALER = TenantSealer("tenant", KEY)
places = st.text(max_size=20)


class Vault:
    def __init__(self, **secrets: bytes) -> None:
        self.secrets = secrets or {MASTER_KEY: base64.b64encode(os.urandom(32))}
        self.reads = 0

    async def get(self, name: str) -> bytes:
        self.reads += 1
        try:
            return self.secrets[name]
        except KeyError:
            raise NotFoundError(name) from None


@given(plain=st.binary(max_size=5000), place=places)
def test_what_was_sealed_opens_in_its_place_and_differs_each_time(plain: bytes, place: str) -> None:
    sealed = SEALER.seal(plain, place=place)
    assert SEALER.open(sealed, place=place) == plain
    assert SEALER.seal(plain, place=place) != sealed
    assert TenantSealer("tenant", KEY).open(sealed, place=place) == plain


@given(plain=st.binary(max_size=200), place=places, elsewhere=places)
def test_nothing_opens_in_another_place_tenant_or_key(plain: bytes, place: str, elsewhere: str) -> None:
    sealed = SEALER.seal(plain, place=place)
    strangers = [(TenantSealer("tenant2", KEY), place), (TenantSealer("tenant", OTHER_KEY), place)]
    if elsewhere != place:
        strangers.append((SEALER, elsewhere))
    for sealer, where in strangers:
        with pytest.raises(LostPagesError):
            sealer.open(sealed, place=where)


@given(plain=st.binary(max_size=200), data=st.data())
def test_any_change_of_a_sealed_page_loses_it(plain: bytes, data: st.DataObject) -> None:
    sealed = SEALER.seal(plain, place="p")
    at = data.draw(st.integers(0, len(sealed) - 1))
    bit = data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(sealed) - 1))
    flipped = sealed[:at] + bytes([sealed[at] ^ (1 << bit)]) + sealed[at + 1 :]
    for damaged in (flipped, sealed[:cut], sealed + b"\0"):
        with pytest.raises(LostPagesError):
            SEALER.open(damaged, place="p")


def test_sealed_pages_are_compressed_and_hide_their_content() -> None:
    sealed = SEALER.seal(b"anna.berg@example.com " * 1000, place="p")
    assert len(sealed) < 500
    assert b"anna" not in sealed


async def test_keys_are_made_once_and_shared_by_all_processes() -> None:
    tables, vault = MemoryTables(), Vault()
    first = await TenantKeyring(tables, vault).keys("t1")
    second = await TenantKeyring(tables, vault).keys("t1")
    sealed = first.sealer.seal(b"x", place="p")
    assert second.sealer.open(sealed, place="p") == b"x"
    assert (second.fingerprint_key, second.fingerprint_key_id) == (first.fingerprint_key, first.fingerprint_key_id)
    assert len(first.fingerprint_key) == 32
    assert len(first.fingerprint_key_id) == 3


async def test_tenants_have_keys_of_their_own() -> None:
    keyring = TenantKeyring(MemoryTables(), Vault())
    one, two = await keyring.keys("t1"), await keyring.keys("t2")
    assert one.fingerprint_key != two.fingerprint_key
    with pytest.raises(LostPagesError):
        two.sealer.open(one.sealer.seal(b"x", place="p"), place="p")


async def test_of_two_that_make_keys_at_once_both_use_the_winners() -> None:
    tables, vault = MemoryTables(), Vault()
    barrier = asyncio.Barrier(2)

    async def hook(moment: str, operation: str, target: str) -> None:
        if (moment, operation) == ("before", "commit"):
            await barrier.wait()

    tables.hook = hook
    one, two = await asyncio.gather(*(TenantKeyring(tables, vault).keys("t") for _ in range(2)))
    assert one.fingerprint_key == two.fingerprint_key
    assert two.sealer.open(one.sealer.seal(b"x", place="p"), place="p") == b"x"


async def test_stored_keys_are_wrapped_each_for_its_purpose_and_tenant() -> None:
    tables, vault = MemoryTables(), Vault()
    keys = await TenantKeyring(tables, vault).keys("t")
    stored = await tables.get(TENANTS, "t", KEYS_ROW)
    assert stored is not None
    assert stored.values["MasterKey"] == MASTER_KEY
    assert all(keys.fingerprint_key not in value for value in stored.values.values() if isinstance(value, bytes))
    swapped = {**stored.values, "DataKey": stored.values["FingerprintKey"], "FingerprintKey": stored.values["DataKey"]}
    cases: list[tuple[str, Row]] = [
        ("t", swapped),
        ("other", stored.values),
        ("t", {**stored.values, "DataKey": b"short"}),
        ("t", {"MasterKey": MASTER_KEY}),
    ]
    for tenant, values in cases:
        copied = MemoryTables()
        await copied.commit(TENANTS, tenant, [Put(KEYS_ROW, values)])
        with pytest.raises(InputError, match="restore the secret"):
            await TenantKeyring(copied, vault).keys(tenant)


async def test_another_master_key_is_an_error_and_makes_no_new_keys() -> None:
    tables = MemoryTables()
    await TenantKeyring(tables, Vault()).keys("t")
    before = await tables.get(TENANTS, "t", KEYS_ROW)
    with pytest.raises(InputError, match=MASTER_KEY):
        await TenantKeyring(tables, Vault()).keys("t")
    assert await tables.get(TENANTS, "t", KEYS_ROW) == before


async def test_a_row_names_the_master_key_that_wrapped_it() -> None:
    tables, vault = MemoryTables(), Vault()
    keys = await TenantKeyring(tables, vault).keys("t")
    stored = await tables.get(TENANTS, "t", KEYS_ROW)
    assert stored is not None
    await tables.commit(TENANTS, "t", [Put(KEYS_ROW, {**stored.values, "MasterKey": "retired"})])
    vault.secrets = {"retired": vault.secrets[MASTER_KEY], MASTER_KEY: base64.b64encode(os.urandom(32))}
    assert (await TenantKeyring(tables, vault).keys("t")).fingerprint_key == keys.fingerprint_key


@pytest.mark.parametrize("secret", [b"", b"x" * 32, base64.b64encode(bytes(31)), b"not base64!", bytes(range(200, 231))])
async def test_a_master_key_must_be_32_random_bytes(secret: bytes) -> None:
    tables = MemoryTables()
    with pytest.raises(InputError, match="openssl rand"):
        await TenantKeyring(tables, Vault(**{MASTER_KEY: secret})).keys("t")
    assert await tables.get(TENANTS, "t", KEYS_ROW) is None


async def test_a_master_key_may_be_text_or_bytes() -> None:
    tables, key = MemoryTables(), bytes(range(200, 232))
    one = await TenantKeyring(tables, Vault(**{MASTER_KEY: key})).keys("t")
    two = await TenantKeyring(tables, Vault(**{MASTER_KEY: base64.b64encode(key) + b"\n"})).keys("t")
    assert one.fingerprint_key == two.fingerprint_key


async def test_without_a_master_key_there_are_no_keys() -> None:
    with pytest.raises(NotFoundError):
        await TenantKeyring(MemoryTables(), Vault(other=b"")).keys("t")


async def test_keys_are_kept_for_a_while_for_the_tenants_last_used() -> None:
    tables, vault = MemoryTables(), Vault()
    now = 0.0
    keyring = TenantKeyring(tables, vault, max_tenants=2, max_age=10, monotonic=lambda: now)

    async def asked(tenant: str) -> bool:
        before = vault.reads
        await keyring.keys(tenant)
        return vault.reads > before

    assert [await asked(tenant) for tenant in ["a", "a", "b", "a", "c", "a", "b"]] == [
        True,
        False,
        True,
        False,
        True,
        False,
        True,
    ]
    now = 10.0
    assert await asked("a")
    keyring.forget("a")
    assert await asked("a")
