"""Access key ids and unique ids: a prefix, then the account in base32, then chance (spec 2.7.1, 2.7.2).

The first 41 bits after the prefix are a one and the account, so eight characters are the same in every id of an
account. Ids of the old form, whose fifth character is A to P, carry no account and have to be looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
PREFIX_LENGTH = 4
ACCESS_KEY_ID_LENGTH = 20

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_39_BITS = (1 << 39) - 1
_44_BITS = (1 << 44) - 1
_CARRIES_ACCOUNT = 1 << 47
_ACCOUNTS = 10**12


def new_access_key_id(prefix: str, account: str, entropy: Callable[[int], bytes]) -> str:
    """A fresh id of 20 characters that carries `account`, 12 digits; `entropy(n)` gives n random bytes."""
    head, lowest_bit = _head(account)
    chance = int.from_bytes(entropy(5), "big") & _39_BITS
    return prefix + head + _eight(lowest_bit << 39 | chance)


def new_unique_id(prefix: str, account: str, entropy: Callable[[int], bytes]) -> str:
    """A fresh id of 21 characters of a user (AIDA), a role (AROA), …; it shares its account's eight characters."""
    head, lowest_bit = _head(account)
    chance = int.from_bytes(entropy(6), "big") & _44_BITS
    return prefix + head + _eight((lowest_bit << 44 | chance) >> 5) + ALPHABET[chance & 31]


def account_of(access_key_id: str) -> str | None:
    """The account that an access key id carries; None when it carries none: old form, other length, other letters."""
    if len(access_key_id) != ACCESS_KEY_ID_LENGTH:
        return None
    bits = 0
    for character in access_key_id[PREFIX_LENGTH:]:
        value = _VALUES.get(character)
        if value is None:
            return None
        bits = bits << 5 | value
    z = bits >> 32
    account = (z & 0x7FFFFFFFFF80) >> 7
    return f"{account:012d}" if z & _CARRIES_ACCOUNT and account < _ACCOUNTS else None


def is_old_form(access_key_id: str) -> bool:
    """Whether the fifth character is A to P: an older random id (spec 2.7.2)."""
    return access_key_id[PREFIX_LENGTH : PREFIX_LENGTH + 1] in tuple(ALPHABET[:16])


@lru_cache(maxsize=1024)
def _head(account: str) -> tuple[str, int]:
    """The characters that every id of an account has, and the account's last bit, which the next one begins with."""
    marked = 1 << 40 | int(account)
    return _eight(marked >> 1), marked & 1


def _eight(value: int) -> str:
    """The eight characters of 40 bits."""
    return _PAIRS[value >> 30] + _PAIRS[value >> 20 & 1023] + _PAIRS[value >> 10 & 1023] + _PAIRS[value & 1023]
