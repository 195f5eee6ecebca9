"""What a node's `/metrics` says that experiments and checks need (contract 9). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

HEADS = "stsd_revocations"
REMOTE_CALLS = "stsd_remote_calls_total"


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """`heads`: how many revocations of each origin the node knows, those without any left out. `remote_calls`: calls
    to other regions made in the `background` and in a `request`."""

    heads: Mapping[str, float] = field(default_factory=dict)
    remote_calls: Mapping[str, float] = field(default_factory=dict)


def parse(exposition: str) -> NodeCounts:
    """The counts in an exposition text."""
    heads: dict[str, float] = {}
    calls: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == HEADS and sample.value:
                heads[sample.labels["origin"]] = sample.value
            elif sample.name == REMOTE_CALLS:
                calls[sample.labels["during"]] = sample.value
    return NodeCounts(heads, calls)
