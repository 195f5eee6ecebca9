"""Regions: which are enabled for every account, and which an account has to opt in to (spec 5.4).

A region that is in neither list is one that its operator made up: it counts as enabled by default.
"""

from __future__ import annotations

import re

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+")

OPT_IN_REGIONS = frozenset(
    (
        "af-south-1",
        "ap-east-1",
        "ap-east-2",
        "ap-south-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "eu-central-2",
        "eu-south-1",
        "eu-south-2",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "mx-central-1",
    )
)
"""Disabled until the account enables them."""


def is_region(name: str) -> bool:
    """Whether `name` has the form of a region (contract 2)."""
    return _REGION.fullmatch(name) is not None


def takes(region: str, token_version: int) -> bool:
    """Whether session tokens of this version are valid in `region`: of version 1 in default regions only (spec 5.3)."""
    return token_version > 1 or region not in OPT_IN_REGIONS
