"""People for the tests of the pure core: one ordinary, and any number of odd ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sync_core.fingerprints import Fingerprinter

FINGERPRINTER = Fingerprinter(b"a tenant's fingerprint key", "k1")

ANNA: dict[str, Any] = {
    "id": "11111111-AAAA-4aaa-8aaa-111111111111",
    "displayName": "Anna Schmidt",
    "givenName": "Anna",
    "surname": "Schmidt",
    "companyName": "Contoso AG",
    "department": "Sales",
    "jobTitle": "Account manager",
    "officeLocation": "B 12",
    "mobilePhone": "0171 1234567",
    "businessPhones": ["030 123456"],
    "mail": "anna.schmidt@contoso.com",
    "userPrincipalName": "anna@contoso.com",
    "proxyAddresses": [
        "SIP:anna.schmidt@contoso.com",
        "smtp:schmidt@contoso.com",
        "SMTP:Anna.Schmidt@contoso.com",
        "smtp:anna@contoso.onmicrosoft.com",
        "X500:/o=ExchangeLabs/cn=anna",
    ],
    "streetAddress": "Hauptstraße 5",
    "city": "Berlin",
    "state": "BE",
    "postalCode": "10115",
    "country": "Germany",
    "usageLocation": "DE",
    "accountEnabled": True,
    "userType": "Member",
    "assignedPlans": [
        {"service": "exchange", "capabilityStatus": "Enabled", "servicePlanId": "efb87545-963c-4e0d-99df-69c6916d9eb0"}
    ],
}

TEXT_PROPERTIES = (
    "displayName",
    "givenName",
    "surname",
    "companyName",
    "department",
    "jobTitle",
    "officeLocation",
    "streetAddress",
    "city",
    "state",
    "postalCode",
)

# Letters in several scripts and forms, joiners and marks, white space of all kinds, control characters, a lone surrogate
odd_text = st.one_of(
    st.text("abC Äß,.'-@\u0308\u030a\u200d\u200f\u202b\u3000\u00a0\u2028\t\r\n\0\x7f\x9f\ud800\uffff山田محش👩🦊İı", max_size=8),
    st.sampled_from(["", " ", "x" * 300, "🦊" * 200, "👩‍👩‍👧‍👦", "محمد علي", "\u200fשָׁלוֹם", "山田　太郎", "Anna Maria Schmidt"]),
)
odd_phone = st.one_of(
    odd_text,
    st.from_regex(r"\+?[0-9 ().,x/-]{0,14}", fullmatch=True),
    st.sampled_from(["+49 30 123456", "030 123456 ext 7", "ask Bob", "(425) 555-0123", "-", "+44 (0)20 7946 0000"]),
)
odd_address = st.one_of(odd_text, st.from_regex(r"[A-Za-z.]{1,5}@[a-zA-Z]{1,4}\.(com|onmicrosoft\.com)", fullmatch=True))

users = st.fixed_dictionaries(
    {"id": st.uuids().map(str)},
    optional={
        **{name: st.none() | odd_text for name in TEXT_PROPERTIES},
        "mobilePhone": st.none() | odd_phone,
        "businessPhones": st.lists(odd_phone, max_size=4),
        "mail": st.none() | odd_address,
        "proxyAddresses": st.lists(
            st.builds(str.__add__, st.sampled_from(["smtp:", "SMTP:", "sip:", ""]), odd_address), max_size=5
        ),
        "country": st.none() | st.sampled_from(["Germany", "US", "Narnia", ""]),
        "usageLocation": st.none() | st.sampled_from(["DE", "US", "CH", "AQ"]),
        "accountEnabled": st.none() | st.booleans(),
        "userType": st.none() | st.sampled_from(["Member", "Guest"]),
        "userPrincipalName": st.from_regex(r"[a-z._-]{1,6}@contoso\.com", fullmatch=True),
        "employeeType": st.none() | odd_text,
        "isResourceAccount": st.none() | st.booleans(),
        "onPremisesExtensionAttributes": st.none()
        | st.dictionaries(st.sampled_from([f"extensionAttribute{number}" for number in range(1, 16)]), st.none() | odd_text),
        "assignedPlans": st.lists(
            st.fixed_dictionaries(
                {
                    "service": st.sampled_from(["exchange", "SharePoint"]),
                    "capabilityStatus": st.sampled_from(["Enabled", "Warning", "Suspended", "Deleted"]),
                }
            ),
            max_size=2,
        ),
    },
)
"""Users as Graph might report them; a property may be missing, null or strange."""
