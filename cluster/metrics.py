"""What the router counts, in Prometheus's exposition format (contract 9).

`router_delay_requested_seconds` is the delay that the latency model asked for, `router_delay_error_seconds` how much
longer it took: a latency experiment is only as good as the second is small (multiregion 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "RouterMetrics"]

REQUEST_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1, 5)
DELAY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1, 3)
ERROR_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005),
    *(0.006, 0.008, 0.01, 0.02, 0.05, 0.1, 0.5),
)


class RouterMetrics:
    """Counters of one router; `healthy` is asked at scrape time."""

    def __init__(self, healthy: Callable[[], Mapping[str, bool]]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._healthy = healthy
        self._counters: dict[tuple[str, str, str, str], tuple[Counter, Histogram]] = {}
        self.requests = Counter(
            "router_requests",
            "Requests by answering region.",
            ("endpoint", "region", "outcome"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "router_request_seconds",
            "Time from a request's arrival to its answer, added latency included.",
            ("endpoint", "location"),
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self.region_healthy = Gauge(
            "router_region_healthy", "1 while a region is up and not ejected.", ("region",), registry=self.registry
        )
        self.retries = Counter(
            "router_retries", "Second attempts by what failed.", ("failure",), registry=self.registry
        )
        self.hedges = Counter(
            "router_hedges", "Second regions asked before the first had answered.", registry=self.registry
        )
        self.delay_requested = Histogram(
            "router_delay_requested_seconds",
            "One-way delays as asked for.",
            ("location", "region"),
            buckets=DELAY_BUCKETS_S,
            registry=self.registry,
        )
        self.delay_error = Histogram(
            "router_delay_error_seconds",
            "How much longer one-way delays took than asked for.",
            ("location", "region"),
            buckets=ERROR_BUCKETS_S,
            registry=self.registry,
        )

    def count(self, endpoint: str, location: str, region: str, outcome: str, took_s: float) -> None:
        """Counts one request. The counters of the usual labels are kept, because finding one takes longer."""
        key = endpoint, location, region, outcome
        counters = self._counters.get(key)
        if counters is None:
            counters = self.requests.labels(endpoint, region, outcome), self.seconds.labels(endpoint, location)
            self._counters[key] = counters
        counters[0].inc()
        counters[1].observe(took_s)

    def render(self) -> bytes:
        """The exposition text."""
        for region, healthy in self._healthy().items():
            self.region_healthy.labels(region).set(int(healthy))
        return generate_latest(self.registry)
