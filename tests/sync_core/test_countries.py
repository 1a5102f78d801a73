from __future__ import annotations

import phonenumbers
import pytest

from sync_core.countries import known_region, region


@pytest.mark.parametrize(
    ("country", "expected"),
    [
        ("DE", "DE"), ("de", "DE"), (" ch ", "CH"), ("UK", "GB"), ("uk", "GB"), ("GB", "GB"),
        ("Germany", "DE"), ("DEUTSCHLAND", "DE"), ("United States", "US"), ("USA", "US"), ("U.S.A.", "US"),
        ("the Netherlands", "NL"), ("Côte d’Ivoire", "CI"), ("Cote d'Ivoire", "CI"), ("Österreich", "AT"), ("Türkiye", "TR"),
        ("Bosnia & Herzegovina", "BA"), ("Trinidad and Tobago", "TT"), ("日本", "JP"), ("Åland Islands", "AX"),
        ("Andorra", "AD"), ("Viet  Nam", "VN"), ("Zimbabwe", "ZW"), ("UAE", "AE"),
        ("Narnia", None), ("", None), (None, None), (" ", None), ("D", None), ("1", None),
    ],
)  # fmt: skip
def test_region(country: str | None, expected: str | None) -> None:
    assert region(country) == expected


def test_every_name_belongs_to_a_country_that_has_phones() -> None:
    from sync_core.countries import _codes

    codes = set(_codes().values())
    assert codes <= set(phonenumbers.SUPPORTED_REGIONS)
    assert len(codes) > 240


@pytest.mark.parametrize(
    ("country", "expected"),
    [("de", "DE"), ("UK", "GB"), ("Austria", "AT"), ("ZZ", None), ("AN", None), ("Narnia", None), ("", None)],
)
def test_a_code_that_no_country_has_is_unknown(country: str, expected: str | None) -> None:
    assert known_region(country) == expected
