"""Session tags: what a request may pass, what passes on from the calling session, and what both give (spec 3.2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stsd.authz.context import Context
from stsd.errors import InvalidParameterValue
from stsd.principal import Session
from stsd.wire import constraints
from stsd.wire.parameter_table import TAGS

DUPLICATE = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
NOT_PASSED = "The specified transitive tag key must be included in the requested tags."
CONFLICT = (
    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the"
    " calling session."
)
_RESERVED = "aws:"

Tags = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class SessionTags:
    """Tags of a request: those that it passes, which of their keys are transitive, and what it inherits.

    What follows from them is worked out once, because nearly all requests share NO_TAGS: whether `sts:TagSession` is
    `needed`, which it is for inherited tags too; the `effective` tags of the new session; the keys `passing_on`, which
    the next session in the chain inherits.
    """

    passed: Tags = ()
    transitive: tuple[str, ...] = ()
    inherited: Tags = ()
    needed: bool = field(init=False)
    effective: Tags = field(init=False)
    passing_on: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.needed = bool(self.passed or self.inherited)
        self.effective = self.inherited + self.passed
        self.passing_on = (*(key for key, _ in self.inherited), *self.transitive)

    def add_to(self, context: Context) -> None:
        """The condition keys that a request with these tags has (spec 4.7)."""
        for key, value in self.passed:
            context[f"aws:requesttag/{key.lower()}"] = value
        if self.passed:
            context["aws:tagkeys"] = tuple(key for key, _ in self.passed)
        if self.transitive:
            context["sts:transitivetagkeys"] = self.transitive


NO_TAGS = SessionTags()


def read(arguments: dict[str, Any], session: Session | None) -> SessionTags:
    """The tags of validated arguments. Raises InvalidParameterValue."""
    if "Tags" not in arguments and "TransitiveTagKeys" not in arguments and not (session and session.transitive):
        return NO_TAGS
    passed = tuple((tag["Key"], tag["Value"]) for tag in arguments.get("Tags", ()))
    return combine(passed, arguments.get("TransitiveTagKeys", ()), session)


def asserted(passed: Tags, transitive: Sequence[str]) -> SessionTags:
    """The tags of a third party's assertion, which no schema has looked at yet. Raises ValidationError in the words for
    the parameters of AssumeRole, and InvalidParameterValue."""
    if not passed and not transitive:
        return NO_TAGS
    constraints.check(TAGS, tuple({"Key": key, "Value": value} for key, value in passed))
    return combine(passed, transitive)


def combine(passed: Tags, transitive: Sequence[str], session: Session | None = None) -> SessionTags:
    """Tags from a request or an assertion, with what the calling session passes on. Raises InvalidParameterValue."""
    keys = check(passed)
    if any(key.lower() not in keys for key in transitive):
        raise InvalidParameterValue(NOT_PASSED, reason="transitive_key_not_passed")
    inherited = _inherited(session)
    if not keys.isdisjoint(key.lower() for key, _ in inherited):
        raise InvalidParameterValue(CONFLICT, reason="transitive_key_conflict")
    wanted = {key.lower() for key in transitive}
    return SessionTags(passed, tuple(key for key, _ in passed if key.lower() in wanted), inherited)


def check(passed: Iterable[tuple[str, str]], *, reserved: bool = False) -> set[str]:
    """The keys in lower case. Raises InvalidParameterValue for one that is there twice beyond case, or is AWS's own
    unless `reserved` keys are accepted (spec 3.2.6, 3.11)."""
    keys: set[str] = set()
    for key, _ in passed:
        lower = key.lower()
        if lower in keys:
            raise InvalidParameterValue(DUPLICATE, reason="duplicate_tag_key")
        if lower.startswith(_RESERVED) and not reserved:
            raise InvalidParameterValue(f"Tag keys may not begin with {_RESERVED}", reason="reserved_tag_key")
        keys.add(lower)
    return keys


def _inherited(session: Session | None) -> Tags:
    if session is None or not session.transitive:
        return ()
    return tuple((key, value) for key, value in session.tags if key in session.transitive)
