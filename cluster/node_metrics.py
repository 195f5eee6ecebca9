"""What a node's `/metrics` says that experiments and checks need (contract 9). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

HEADS = "stsd_revocations"
REMOTE_CALLS = "stsd_remote_calls_total"
REQUESTS = "stsd_requests_total"


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


def answered(expositions: Iterable[str]) -> Counter[str]:
    """How many requests several nodes together have answered, by operation."""
    counts = Counter[str]()
    for exposition in expositions:
        # Only these lines: a second's worth of samples is parsed for every second of a run.
        lines = "".join(line + "\n" for line in exposition.splitlines() if line.startswith(REQUESTS))
        for family in text_string_to_metric_families(lines):
            for sample in family.samples:
                counts[sample.labels["operation"]] += int(sample.value)
    return counts
