"""PackedPolicySize: which percentage of a session's packing budget its policies and tags use (spec 3.2.8).

AWS's packing is opaque. These numbers reproduce the reported sizes within a few points: a minimal policy is 4 %,
32 actions are 91 %, nine tags of 250 characters 498 %. Names and repetitions pack to nothing there; here the session
token carries the policies as they are, so their text has a budget of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from stsd.policy import Policy

BUDGET = 460
POLICY = 4
ACTION = 13
POLICY_ARN = 20
TAG = 2
ASSERTION_PERCENT = 22
ASSERTION_BYTES_PER_PERCENT = 30
"""What an identity provider's assertion takes by itself, and how much of its text is a percent more."""
ASSERTION_BYTES = 8_192
"""The text of an assertion that never fills more than the whole budget, so that a long subject passes (spec 3.4.1).
Raising it lets tokens grow beyond what a header can carry."""
TEXT_BYTES = 3_072
"""What session policies and ARNs may take as text. Raising it lets tokens grow beyond what a header can carry."""
PLAINTEXT_CHARACTERS = 2_048
"""What they may take as they are sent, white space included, where the operation is not AssumeRole (spec 3.2.5)."""


def packed_size(
    policy: Policy | None, policy_arns: tuple[str, ...], tags: Sequence[tuple[str, str]] = ()
) -> int | None:
    """Percent of the budget, rounded up, at least 1; None for neither policies nor tags."""
    if policy is None and not policy_arns and not tags:
        return None
    used = POLICY_ARN * len(policy_arns) + sum(len(key.encode()) + len(value.encode()) + TAG for key, value in tags)
    if policy is not None:
        used += _policy(policy)
    text_bytes = sum(len(text.encode()) for text in (*(() if policy is None else (policy.text,)), *policy_arns))
    return max(_percent(used, BUDGET), text_percent(text_bytes))


def assertion_percent(*texts: str) -> int:
    """What issuer, audience, subject and the like of a web identity take of the budget, in percent (spec 3.2.8).
    Text is counted as the session token has it, in JSON."""
    text_bytes = sum(len(orjson.dumps(text)) - len('""') for text in texts)
    percent = ASSERTION_PERCENT + _percent(text_bytes, 100 * ASSERTION_BYTES_PER_PERCENT)
    return percent if text_bytes > ASSERTION_BYTES else min(percent, 100)


def text_percent(text_bytes: int) -> int:
    """How much of the budget for text so many bytes use, in percent, rounded up."""
    return _percent(text_bytes, TEXT_BYTES)


def plaintext_percent(*texts: str) -> int:
    """How much of PLAINTEXT_CHARACTERS policies and ARNs use, in percent, rounded up."""
    return _percent(sum(map(len, texts)), PLAINTEXT_CHARACTERS)


def _percent(used: int, budget: int) -> int:
    return -(-used * 100 // budget)


def _policy(policy: Policy) -> int:
    actions = {action for statement in policy.statements for action in statement.action_texts}
    literals = {text for statement in policy.statements for text in statement.literal_texts if text != "*"}
    return POLICY + ACTION * len(actions) + sum(len(text.encode()) for text in literals)
