"""The keys that sign tokens, and their rotation (https://learn.microsoft.com/entra/identity-platform/signing-key-rollover)."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

ISSUER = "https://login.microsoftonline.com/{tenantid}/v2.0"


@cache
def private_key(number: int) -> RSAPrivateKey:  # noqa: ARG001 - the cache tells keys apart by it
    """The keys of this process: making one takes a tenth of a second."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class SigningKeys:
    """Which keys are published, and which of them signs."""

    def __init__(self) -> None:
        self._published = [1]

    @property
    def current(self) -> int:
        """The number of the key that signs."""
        return self._published[-1]

    def rotate(self, *, keep: bool = True) -> None:
        """Sign with a new key; with `keep=False` the old one is gone at once, as after a theft."""
        number = self.current + 1
        self._published = [*(self._published[-1:] if keep else []), number]

    def sign(self, claims: dict[str, Any]) -> str:
        """A token."""
        import jwt

        return jwt.encode(claims, private_key(self.current), algorithm="RS256", headers={"kid": key_id(self.current)})

    def public(self, kid: str) -> RSAPublicKey | None:
        """The published key of this id."""
        return next((private_key(each).public_key() for each in self._published if key_id(each) == kid), None)

    def document(self, issuer: str) -> dict[str, Any]:
        """The JSON Web Key Set."""
        return {"keys": [_public(number) | {"issuer": issuer} for number in self._published]}


def key_id(number: int) -> str:
    """What tokens call a key."""
    return f"stand-in-{number}"


def _public(number: int) -> dict[str, Any]:
    from jwt.algorithms import RSAAlgorithm

    key = json.loads(RSAAlgorithm.to_jwk(private_key(number).public_key()))
    return {**{name: key[name] for name in ("kty", "n", "e")}, "use": "sig", "kid": key_id(number)}
