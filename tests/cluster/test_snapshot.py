"""What is read of a cluster before and after a load."""

from __future__ import annotations

import pytest

from cluster import control, own_cluster, snapshot
from cluster.data_dir import Wanted, prepare
from cluster.errors import Refused
from cluster.snapshot import Snapshot

CPU = [0] * 10


@pytest.mark.parametrize(
    ("answer", "why"),
    [(None, "nobody answers"), ({"ok": False, "fault": "the IP router is gone"}, "the IP router is gone")],
    ids=("silent", "gone"),
)
async def test_links_tell_how_late_they_were_and_a_run_whose_links_do_not_is_refused(
    monkeypatch, tmp_path, answer, why
):
    data, recorded = prepare(tmp_path / "data", Wanted()), [["a", "b", 0.1, 0.0, []]]

    async def metrics(data):
        return "# router\n"

    monkeypatch.setattr(own_cluster, "router_metrics", metrics)
    monkeypatch.setattr(control, "ask", lambda run, name, verb: {"ok": True, verb: recorded})
    assert (await snapshot.take(data)).links == recorded
    monkeypatch.setattr(control, "ask", lambda run, name, verb: answer)
    with pytest.raises(Refused, match=f"the links do not tell how late they were: {why}"):
        await snapshot.take(data)


def test_of_two_readings_what_came_between_them_counts():
    counts = [0] * 8 + [1] * 12
    read = Snapshot(CPU, "", [["a", "b", 0.1, 0.006, counts]])
    found = snapshot.between(Snapshot(CPU, "", []), read)
    assert (found.link_error_ms_p99, [pair.messages for pair in found.link_delays]) == (6, [1])
    none = snapshot.between(read, read)
    assert (none.link_error_ms_p99, none.link_delays) == (None, ())
