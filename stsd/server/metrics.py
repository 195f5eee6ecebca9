"""What a node counts, in Prometheus's exposition format (contract 9).

Counting is two dictionary updates per request; the library renders when someone asks. Staleness and key ages are
computed at that moment, so that they are never stale themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from stsd.server.backbone import State
from stsd.tokens.keyset import KeySet

BUCKETS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics(Collector):
    """Counters of one node; `keys` and what follows it is asked at scrape time."""

    def __init__(
        self,
        keys: Callable[[], KeySet],
        revocations: Callable[[], Mapping[str, int]],
        staleness: Callable[[], Mapping[str, float]],
        remote_calls: Callable[[], Mapping[Any, int]],
        now: Callable[[], float],
    ) -> None:
        self._keys, self._revocations, self._staleness, self._now = keys, revocations, staleness, now
        self._remote_calls = remote_calls
        self.backbone: Callable[[], State] = lambda: State("", False)
        self.behind: Callable[[], Mapping[str, int]] = dict
        self.unknown: Callable[[], int] = int
        self.clock_offsets: Callable[[], Mapping[str, float]] = dict
        self._requests: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, list[float]] = {}
        self._verifications: dict[str, int] = {}
        self._peer_messages: dict[str, int] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def request(self, operation: str, code: str, seconds: float) -> None:
        """Count one answered request."""
        key = (operation, code)
        self._requests[key] = self._requests.get(key, 0) + 1
        counts = self._seconds.get(operation)
        if counts is None:
            counts = self._seconds[operation] = [0.0] * (len(BUCKETS_S) + 2)
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        counts[-1] += seconds

    def verifications(self, results: Mapping[str, int]) -> None:
        """Count judged session tokens: `active` or the reason against them."""
        for result, count in results.items():
            self._verifications[result] = self._verifications.get(result, 0) + count

    def peer_message(self, result: str) -> None:
        """Count one replication message: `accepted` or why it changed nothing."""
        self._peer_messages[result] = self._peer_messages.get(result, 0) + 1

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All families, as the library asks for them."""
        yield _counter("stsd_requests", "Requests by operation and error code.", ("operation", "code"), self._requests)
        yield self._histogram()
        yield _counter("stsd_token_verifications", "Judged session tokens.", ("result",), _by_one(self._verifications))
        yield _counter(
            "stsd_peer_messages", "Replication messages received.", ("result",), _by_one(self._peer_messages)
        )
        calls = _by_one(self._remote_calls())
        yield _counter("stsd_remote_calls", "Calls to other regions, by what made them.", ("during",), calls)
        yield _gauge("stsd_revocations", "Revocations known, by origin.", self._revocations())
        unknown = GaugeMetricFamily(
            "stsd_unknown_revocations", "Revocations of kinds of a later version: kept and told on, not enforced here."
        )
        unknown.add_metric((), self.unknown())
        yield unknown
        yield _gauge("stsd_staleness_seconds", "Age of what is known of an origin.", self._staleness())
        offsets = self.clock_offsets()
        yield _gauge("stsd_clock_offset_seconds", "How far this clock is ahead of a peer's.", offsets, "peer")
        yield self._key_ages()
        yield from self._backbone_state()

    def _backbone_state(self) -> Iterable[Metric]:
        state = self.backbone()
        up = GaugeMetricFamily("stsd_backbone_up", "Whether anything of it answers.", labels=("backbone",))
        up.add_metric((state.name,), float(state.up))
        yield up
        yield _counter(
            "stsd_backbone_source_stalled", "Origins that its streams stopped bringing.", ("region",),
            _by_one(state.stalls),
        )  # fmt: skip
        yield _gauge("stsd_backbone_behind_entries", "Told by others and not applied here.", self.behind())

    def _histogram(self) -> Metric:
        family = HistogramMetricFamily("stsd_request_seconds", "Time to answer.", labels=("operation",))
        for operation, counts in self._seconds.items():
            total = 0.0
            buckets = []
            for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counts[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric((operation,), buckets, counts[-1])
        return family

    def _key_ages(self) -> Metric:
        family = GaugeMetricFamily("stsd_token_key_age_seconds", "Age of a token key.", labels=("kid", "state"))
        for key in self._keys().keys:
            family.add_metric((key.kid, key.state), self._now() - key.created_at)
        return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, values: Mapping[str, float], label: str = "origin") -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for named, value in values.items():
        family.add_metric((named,), value)
    return family


def _by_one(values: Mapping[str, int]) -> dict[tuple[str], int]:
    return {(label,): value for label, value in values.items()}
