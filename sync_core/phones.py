"""Phone numbers as phones need them.

E.164 ("+4930123456") is what caller id matches against, whatever network the phone is in. An extension follows after a comma:
iOS and Android keep it and dial it two seconds after the call is answered, where they misread the ";ext=" of RFC 3966 (Android
dials the letters).
"""

from __future__ import annotations

import re

# Written in full, without a trunk zero: reading these with the library would take most of the time of a large directory
_IN_FULL = re.compile(r"(?!\+[0-9]{1,3}[ .-]0)\+[1-9](?:[ .-]?[0-9]){6,14}")
_SEPARATORS = str.maketrans("", "", " .-")


def international(raw: str, country: str | None) -> str:
    """The number in E.164, its extension after a comma; `country` (ISO 3166 alpha-2) reads those without a country code.

    Text that is no number of that country (an internal extension, two numbers, words) comes back trimmed: not knowing is better
    than a wrong number. Text without a letter or digit comes back empty.
    """
    import phonenumbers as library

    text = " ".join(raw.split())
    if _IN_FULL.fullmatch(text):
        return text.translate(_SEPARATORS)
    if not any(character.isalnum() for character in text):
        return ""
    try:
        number = library.parse(text, country, keep_raw_input=True)
    except library.NumberParseException:
        return text
    # Whoever writes a country code means it, and the metadata may be older than the number; "12345" in Germany is an extension
    written_in_full = number.country_code_source != library.CountryCodeSource.FROM_DEFAULT_COUNTRY
    fits = library.is_possible_number if written_in_full else library.is_valid_number
    if not fits(number):
        return text
    dialled: str = library.format_number(number, library.PhoneNumberFormat.E164)
    return f"{dialled},{number.extension}" if number.extension else dialled
