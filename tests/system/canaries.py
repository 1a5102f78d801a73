"""Finds a text in bytes, however it may have been written there."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")


def forms(text: str) -> Iterator[bytes]:
    """The ways in which a text stands in files, queues and logs, with ASCII letters in lower case."""
    for spelling in {text, text.lower(), text.upper()}:
        yield from _forms(spelling)


def _forms(text: str) -> Iterator[bytes]:
    for encoding in ENCODINGS:
        plain = text.encode(encoding)
        yield plain.lower()
        yield plain.hex().encode()
        yield from _inside_base64(plain)
    for escaped in (quote(text), quote_plus(text), json.dumps(text)[1:-1]):
        yield escaped.encode().lower()


def _inside_base64(plain: bytes) -> Iterator[bytes]:
    """The characters that `plain` surely makes within the base64 of something larger, at each of three offsets."""
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + plain)
        first = (offset * 8 + 5) // 6
        last = (offset + len(plain)) * 8 // 6
        yield encoded[first:last].lower()


def found_bytes(secret: bytes, content: bytes) -> bool:
    """Whether bytes stand in `content`, as they are, in hexadecimal or in base64."""
    lower = content.lower()
    forms = (secret.hex().encode(), *_inside_base64(secret))
    return secret in content or any(form in lower for form in forms)


def found(canaries: Iterable[str], content: bytes) -> list[str]:
    """Those of the texts that stand in `content` in any form, without regard to case."""
    lower = content.lower()
    return [canary for canary in canaries if any(form in lower for form in forms(canary))]
