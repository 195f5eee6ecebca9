"""Until when a client waits, as the AWS SDKs say it: `amz-sdk-request: attempt=1; max=3; ttl=20261126T110634Z`.

SDKs send `ttl` when they know their time-out and the service's clock; whole seconds are theirs, fractions are
understood too. The router passes it on as it is and says beside it what is left of that time when it sends the call, in
milliseconds (`x-stsd-remaining-ms`), so that no clock but the router's own counts. A deadline only ever ends work
early, so whoever forges one harms nobody else: it is not authenticated.
"""

from __future__ import annotations

from datetime import UTC, datetime

from stsd.wire.messages import Headers

HEADER = "amz-sdk-request"
REMAINING_HEADER = "x-stsd-remaining-ms"
_DIGITS_MAX = 9
_FORMS = ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S.%fZ")


def left_s(headers: Headers, wall_now: float) -> float | None:
    """Seconds until the client of a call stops to wait; None when it does not tell. `wall_now` in Unix seconds."""
    remaining = headers.get(REMAINING_HEADER, "")
    if remaining.isascii() and remaining.isdigit() and len(remaining) <= _DIGITS_MAX:
        return int(remaining) / 1000
    until = read(headers.get(HEADER))
    return None if until is None else until - wall_now


def read(value: str | None) -> float | None:
    """The instant in Unix seconds; None when none is given, or none that is understood."""
    for part in (value or "").split(";"):
        name, _, given = part.strip().partition("=")
        if name == "ttl":
            return _instant(given)
    return None


def _instant(text: str) -> float | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None
