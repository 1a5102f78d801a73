"""From the bytes of a file to its text."""

from __future__ import annotations

import codecs
import re

from sync_core.sources.files.entries import FileError, Problem

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ESCAPED = re.compile("[\udc80-\udcff]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")
_LINES_WITH_MORE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
_SAMPLE = 64 * 1024

# Windows' code pages, in which Outlook and Excel write what they do not write in UTF-8, and the Mac's
_CODE_PAGES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp932", "gbk", "cp949", "big5", "mac_roman", "utf_16_le", "utf_16_be"),
]


def decode(body: bytes, charset: str | None) -> str:
    """The text of a file: in the charset that the caller names, else as its bytes tell.

    Raises FileError that names the first line which is not in that charset.
    """
    text = _decode(body, charset)
    at = text.find("\0")
    if at >= 0:
        raise FileError([Problem(_line(text[:at]), "holds a NUL character: this is no text file, or one in an unknown encoding")])
    return text


def _decode(body: bytes, charset: str | None) -> str:
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _strictly(body, name)
    if charset is not None:
        try:
            codecs.lookup(charset)
        except LookupError:
            raise FileError([Problem("Content-Type", "names an unknown charset")]) from None
        return _strictly(body, charset)
    escaped = body.decode("utf-8", "surrogateescape")
    broken = len(_ESCAPED.findall(escaped))
    if not broken:
        return escaped
    if len(_BEYOND_ASCII.findall(escaped)) > broken:
        return _strictly(body, "utf-8")  # it is UTF-8 all right, but for some bytes
    return _strictly(body, _guess(body))


def _strictly(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except UnicodeDecodeError as error:
        place = _line(body[: error.start].decode(charset, "replace"))
        raise FileError([Problem(place, f"holds bytes that are not {charset.removesuffix('-sig').upper()}")]) from None


def _guess(body: bytes) -> str:
    from charset_normalizer import from_bytes

    # Only lines with something to tell: a few umlauts among thousands of plain lines drown in statistics
    sample = b"".join(_LINES_WITH_MORE.findall(body[: 16 * _SAMPLE]))[:_SAMPLE] or body[:_SAMPLE]
    best = from_bytes(sample, cp_isolation=_CODE_PAGES, threshold=0.5).best()
    if best is None:
        raise FileError([Problem("file", "its encoding is unknown: save it as UTF-8")])
    return best.encoding


def _line(before: str) -> str:
    return f"line {before.count(chr(10)) + 1}"
