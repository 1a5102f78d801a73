from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.phones import international
from tests.sync_core.people import odd_phone


@pytest.mark.parametrize(
    ("raw", "country", "expected"),
    [
        # national, by country
        ("030 123456", "DE", "+4930123456"),
        ("(425) 555-0123", "US", "+14255550123"),
        ("020 7946 0123", "GB", "+442079460123"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("٠٣٠١٢٣٤٥٦", "DE", "+4930123456"),
        # written in full, whatever the country
        ("+4930123456", None, "+4930123456"),
        ("+49 30 123456", "US", "+4930123456"),
        ("+49 30-123.456", None, "+4930123456"),
        ("+49 (0)30 123456", None, "+4930123456"),
        ("+49 030 123456", None, "+4930123456"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("0049 30 123456", "DE", "+4930123456"),
        ("011 49 30 123456", "US", "+4930123456"),
        ("tel:+49-30-123456", None, "+4930123456"),
        (" +49\u00a030\t123456 ", None, "+4930123456"),
        # possible, though not (yet) in the metadata
        ("+49 (19) 999999999", None, "+4919999999999"),
        # extensions
        ("030 123456 ext. 12", "DE", "+4930123456,12"),
        ("+1 425-555-0123 x77", None, "+14255550123,77"),
        ("tel:+49-30-123456;ext=5", None, "+4930123456,5"),
        ("+49 30 123456,,12", None, "+4930123456,12"),
        # no number of the country: never lost, never invented
        ("12345", "DE", "12345"),
        ("1030", "US", "1030"),
        ("030 123456", None, "030 123456"),
        ("030 123456", "AQ", "030 123456"),
        ("+49 30 12345678901234567", None, "+49 30 12345678901234567"),
        ("+49 1", None, "+49 1"),
        ("030/123456 oder 030/555", "DE", "030/123456 oder 030/555"),
        ("  ask   reception ", "DE", "ask reception"),
        # nothing
        ("", "DE", ""),
        (" - ", "DE", ""),
        ("+", "DE", ""),
    ],
)  # fmt: skip
def test_international(raw: str, country: str | None, expected: str) -> None:
    assert international(raw, country) == expected


@given(st.sampled_from(["DE", "US", "GB", "FR", "IT", "CH", "JP", "BR", "AU", "IN"]), st.data())
def test_valid_numbers_read_the_same_in_every_notation(country: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]))
    number = phonenumbers.example_number_for_type(country, kind)
    assert number is not None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for notation in (phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.RFC3966):
        assert international(phonenumbers.format_number(number, notation), None) == e164
    assert international(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL), country) == e164


@given(odd_phone, st.sampled_from([None, "DE", "US"]))
def test_repeating_changes_nothing(raw: str, country: str | None) -> None:
    once = international(raw, country)
    assert international(once, country) == once
