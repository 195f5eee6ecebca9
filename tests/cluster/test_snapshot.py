"""What is read of a cluster before and after a load."""

from __future__ import annotations

import pytest

from cluster import control, own_cluster, snapshot
from cluster.data_dir import Wanted, prepare
from cluster.errors import Refused
from cluster.snapshot import Snapshot

CPU = [0] * 10


@pytest.mark.parametrize(
    ("answer", "links"),
    [
        ({"ok": True, "lateness": [["a", "b", 0.1, 0.0, []]]}, [["a", "b", 0.1, 0.0, []]]),
        ({"ok": True, "lateness": None}, None),
        ({"ok": False, "fault": "lateness: not an order"}, None),
    ],
    ids=("recorded", "namespaces", "older"),
)
async def test_what_is_not_recorded_is_not_known_and_no_answer_is_refused(monkeypatch, tmp_path, answer, links):
    data = prepare(tmp_path / "data", Wanted())

    async def metrics(data):
        return "# router\n"

    monkeypatch.setattr(own_cluster, "router_metrics", metrics)
    monkeypatch.setattr(control, "ask", lambda run, name, verb: {"lateness": answer}.get(verb))
    assert (await snapshot.take(data)).links == links
    monkeypatch.setattr(control, "ask", lambda run, name, verb: None)
    with pytest.raises(Refused, match="the links do not tell how late they were"):
        await snapshot.take(data)


def test_only_what_both_readings_have_is_subtracted():
    counts = [0] * 8 + [1] * 12
    read = Snapshot(CPU, "", [["a", "b", 0.1, 0.006, counts]])
    found = snapshot.between(Snapshot(CPU, "", []), read)
    assert (found.link_error_ms_p99, [pair.messages for pair in found.link_delays]) == (6, [1])
    for one, other in ((Snapshot(CPU, "", None), read), (read, Snapshot(CPU, "", None))):
        assert snapshot.between(one, other).link_delays == ()
        assert snapshot.between(one, other).link_error_ms_p99 is None
