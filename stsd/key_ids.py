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
UNIQUE_ID_LENGTH = 21

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_HEAD_LENGTH = 8  # characters that hold nothing but the marker and the account's upper 39 bits
_CARRIES_ACCOUNT = 1 << 47
_ACCOUNTS = 10**12


def new_access_key_id(prefix: str, account: str, entropy: Callable[[int], bytes]) -> str:
    """A fresh id of 20 characters that carries `account`, 12 digits; `entropy(n)` gives n random bytes."""
    return prefix + _body(account, ACCESS_KEY_ID_LENGTH - PREFIX_LENGTH, entropy)


def new_unique_id(prefix: str, account: str, entropy: Callable[[int], bytes]) -> str:
    """A fresh id of 21 characters of a user (AIDA), a role (AROA), …; it shares its account's eight characters."""
    return prefix + _body(account, UNIQUE_ID_LENGTH - PREFIX_LENGTH, entropy)


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


def _body(account: str, length: int, entropy: Callable[[int], bytes]) -> str:
    """`length` characters; all bits after the account are random."""
    head, lowest_bit = _head(account)
    count = length - _HEAD_LENGTH
    bits = 5 * count
    chance = int.from_bytes(entropy((bits + 7) // 8), "big") & ((1 << (bits - 1)) - 1)
    return head + _encode(lowest_bit << (bits - 1) | chance, count)


@lru_cache(maxsize=1024)
def _head(account: str) -> tuple[str, int]:
    """The characters that every id of an account has, and the account's last bit, which the next one begins with."""
    marked = 1 << 40 | int(account)
    return _encode(marked >> 1, _HEAD_LENGTH), marked & 1


def _encode(value: int, length: int) -> str:
    pairs = "".join([_PAIRS[value >> shift & 1023] for shift in range(5 * (length - 2), -1, -10)])
    return pairs if length % 2 == 0 else pairs + ALPHABET[value & 31]
