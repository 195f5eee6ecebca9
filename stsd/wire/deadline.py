"""Until when a client waits, as the AWS SDKs say it: `amz-sdk-request: attempt=1; max=3; ttl=20261126T110634Z`.

SDKs send `ttl` when they know their time-out and the service's clock; whole seconds are theirs, fractions are
understood too. A deadline only ever ends work early, so whoever forges one harms nobody else: it is not
authenticated.
"""

from __future__ import annotations

from datetime import UTC, datetime

HEADER = "amz-sdk-request"
_FORMS = ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S.%fZ")


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
