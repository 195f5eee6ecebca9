"""A crowd of verifiers beside an experiment's load, and every second what the nodes have been asked for. (I/O)"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from cluster import node_metrics, own_cluster
from cluster.children import spawn, terminate
from cluster.crowd.workers import Orders
from cluster.data_dir import DataDir
from cluster.errors import Refused
from cluster.experiment import Verifiers
from cluster.files import write_whole
from cluster.history import Crowd, Reaction, Sample

INTERVAL_S = 1.0
END_S = 30.0
"""How long thousands of connections may take to close."""


class Herd:
    """The verifiers of one run, at the home region's node. `begin` is when the measured part begins, in monotonic
    seconds."""

    def __init__(self, data: DataDir, settings: Verifiers, kind: str, token: str, begin: float) -> None:
        self._data, self._settings, self._kind = data, settings, kind
        self._token, self._begin = token, begin
        self._samples: list[tuple[float, dict[str, str | None]]] = []
        self._result = data.path / "crowd-result.json"

    async def run(self, duration_s: float) -> None:
        """Until `duration_s`. Raises Refused when the process of the crowd fails."""
        orders, log = self._data.path / "crowd.json", self._data.path / "crowd.log"
        write_whole(orders, json.dumps(asdict(self._orders(duration_s))).encode())  # for nobody else: it holds a token
        command = [sys.executable, "-m", "cluster.crowd", str(orders), str(self._result)]
        process = await spawn(command, signal.SIGTERM, log)
        try:
            await self._sample(duration_s)
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            raise Refused("the crowd of verifiers did not end") from None
        finally:
            terminate(process, signal.SIGTERM)
            await process.wait()
        if process.returncode != 0:
            raise Refused("the crowd of verifiers failed", *log.read_text(errors="replace").splitlines()[-5:])

    def found(self) -> Crowd:
        """What was recorded so far; the process of the crowd tells at its end, also when it was stopped."""
        told = json.loads(self._result.read_text()) if self._result.exists() else {"reactions": []}
        reactions = [Reaction(**{**one, "fetches": _by_number(one["fetches"])}) for one in told["reactions"]]
        return Crowd(self._settings.count, reactions, *counted(self._samples))

    def _orders(self, duration_s: float) -> Orders:
        settings = self._settings
        return Orders(
            url=self._data.url(self._data.topology.home),
            kind=self._kind,
            count=settings.count,
            calls=settings.calls,
            spread_s=settings.spread_s,
            keys_age_s=settings.keys_age_s,
            begin=self._begin,
            moments=[(moment.name, moment.at_s, moment.key) for moment in settings.moments],
            until_s=duration_s,
            token=self._token,
        )

    async def _sample(self, duration_s: float) -> None:
        at_s = 0.0
        while at_s <= duration_s:
            await asyncio.sleep(max(0.0, at_s + self._begin - time.monotonic()))
            texts = await own_cluster.node_metrics_texts(self._data)
            self._samples.append((time.monotonic() - self._begin, texts))
            at_s += INTERVAL_S


def counted(readings: Iterable[tuple[float, Mapping[str, str | None]]]) -> tuple[list[Sample], dict[str, int]]:
    """What all nodes together had answered at each moment, and how often each one was silent. A moment at which one was
    is no sample: the sum of the others would look as if answers had been taken back."""
    samples: list[Sample] = []
    silent: Counter[str] = Counter()
    for at_s, texts in readings:
        told = [text for text in texts.values() if text is not None]
        silent.update(region for region, text in texts.items() if text is None)
        if len(told) == len(texts):
            samples.append(Sample(at_s, node_metrics.answered(told)))
    return samples, dict(silent)


def _by_number(fetches: Mapping[str, int]) -> dict[int, int]:
    """JSON has text alone for names."""
    return {int(times): workers for times, workers in fetches.items()}
