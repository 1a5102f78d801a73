"""Why a tenant was not connected, in words for the admin, under codes that never change."""

from __future__ import annotations

import re

from sync_core.errors import RollcallError

WORDS = {
    "consent_declined": "Nobody consented: start again, and accept what Microsoft shows",
    "not_an_admin": "This account may not consent for the organisation: sign in at Microsoft with one that may",
    "wrong_account": "The consent is for another organisation: start again, and sign in at Microsoft with your account here",
    "blocked_by_policy": "A policy of your organisation stands in the way: whoever is responsible for it must let the app in",
    "app_misconfigured": "Microsoft does not take this app's registration: whoever runs Rollcall must correct it",
    "consent_not_visible": "Microsoft does not know of the consent yet: wait a minute and send this again, or start again",
    "state_invalid": "This answer does not belong to a link of ours: start again",
    "state_expired": "The link has expired: start again",
    "state_used": "The link was used already: see whether the tenant is connected; if not, start again",
    "tenant_not_allowed": "This installation serves other organisations: ask whoever runs it",
    "region_refused": "Your organisation's data must stay in the EU, and this installation runs elsewhere",
    "region_unknown": "Microsoft does not say where your organisation's data must stay: try again later",
    "disconnecting": "The organisation is being disconnected: wait until that is done",
    "try_again": "Microsoft did not answer: send this again in a minute",
    "consent_failed": "Microsoft refused",
}
"""By code: what was wrong and what to do."""


class ConnectionRefusedError(RollcallError):
    """The tenant was not connected. `detail` has more in it than the words of the code, nothing personal."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.words = f"{WORDS[code]} ({detail})" if detail else WORDS[code]
        super().__init__(f"{code}: {self.words}")


# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_NUMBERS = {
    "consent_declined": {"65004", "65001"},
    "not_an_admin": {"90093", "90094"},
    "wrong_account": {"50020", "50034", "50076", "90072", "500208", "500011", "50194", "16000"},
    "blocked_by_policy": {
        *("50105", "53000", "53001", "53002", "53003", "53004", "530032", "530034", "53011", "7000112", "500014", "50058"),
        "65005",
    },
    "app_misconfigured": {"50011", "700016", "900971", "500113", "650052", "650053", "650056", "7000218", "70011", "700054"},
    "try_again": {"90090", "90012", "90024", "90033", "50000", "50196"},
}
_CODES = {number: code for code, numbers in _NUMBERS.items() for number in numbers}
_PLAIN = {
    "access_denied": "consent_declined",
    "consent_required": "consent_declined",
    "temporarily_unavailable": "try_again",
    "server_error": "try_again",
}
_AADSTS = re.compile(r"AADSTS(\d{4,8})")


def explained(error: str, description: str) -> ConnectionRefusedError:
    """What Microsoft's answer to the admin means. Of the description, which names people, only the number is used."""
    found = _AADSTS.search(description)
    number = found[1] if found else ""
    code = _CODES.get(number) or (_PLAIN.get(error, "") if not number else "") or "consent_failed"
    return ConnectionRefusedError(code, f"AADSTS{number}" if number else "")
