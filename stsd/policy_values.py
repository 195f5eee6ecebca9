"""Typed values of conditions, as policies write them and as requests carry them (spec 4.5).

Every reader takes a text and returns a value, or None when the text is not one: a malformed value in a request is
ordinary input. In a stored policy it is refused, in a session policy it stands and matches nothing (spec 3.2.5).
Readers that take microseconds remember what they read last: requests repeat addresses and instants.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

Address = IPv4Address | IPv6Address

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_SECONDS = re.compile(r"([0-9]{1,15})(?:\.([0-9]+))?")
_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_DATE = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:T{_TIME})?")
_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", re.DOTALL)
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}")


class Network(NamedTuple):
    """A CIDR block. `bits` is how many low bits of an address do not matter."""

    family: type[Address]
    start: int
    bits: int

    def holds(self, address: Address) -> bool:
        return isinstance(address, self.family) and int(address) >> self.bits == self.start


@lru_cache(1024)
def number(text: str) -> Decimal | None:
    """A decimal number without exponent, of any length."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(1024)
def date(text: str) -> int | None:
    """Unix milliseconds of an ISO 8601 date or instant, or of epoch seconds; an instant without zone is UTC."""
    if seconds := _SECONDS.fullmatch(text):
        return int(seconds[1]) * 1000 + int(((seconds[2] or "") + "000")[:3])
    if not _DATE.fullmatch(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def boolean(text: str) -> bool | None:
    """`true` or `false` in any case, as a policy writes it."""
    return {"true": True, "false": False}.get(text.lower())


def binary(text: str) -> bytes | None:
    """The bytes of a base64 text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def arn(text: str) -> str | None:
    """The text itself if it is an ARN: six components, with a partition, a service and a resource."""
    return text if _ARN.fullmatch(text) else None


@lru_cache(1024)
def address(text: str) -> Address | None:
    """An IP address; an IPv4 address in IPv6's mapped form is the IPv4 address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found


def network(text: str) -> Network | None:
    """An address or a CIDR block; host bits of IPv4 are ignored, with those of IPv6 the block holds nothing."""
    start, slash, length = text.partition("/")
    if slash and not _PREFIX_LENGTH.fullmatch(length):
        return None
    try:
        found: IPv4Network | IPv6Network = ip_network(text, strict=False)
        own = int(ip_address(start))
    except ValueError:
        return None
    bits = found.max_prefixlen - found.prefixlen
    if isinstance(found, IPv6Network):
        # No address shifted right is -1: with host bits set the block holds nothing (spec 4.5).
        return Network(IPv6Address, own >> bits if own == int(found.network_address) else -1, bits)
    return Network(IPv4Address, own >> bits, bits)
