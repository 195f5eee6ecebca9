"""`python -m cluster.sim`: what many worlds saw, as one JSON object and an exit code."""

from __future__ import annotations

import json
from functools import partial

import pytest

from cluster.sim import __main__ as command
from cluster.sim import campaign
from cluster.sim.convergence import Convergence
from cluster.sim.kinds import Kinds
from cluster.sim.node import SimNode
from cluster.sim.world import World


class AnswersBeforeSync(SimNode):
    def save_own(self, process, batch):
        self.acknowledge(process.saving, ())
        super().save_own(process, batch)


def test_a_healthy_campaign_tells_what_it_saw(tmp_path, capsys):
    path = tmp_path / "out" / "simulation.json"
    assert command.main(["--minutes", "0", "--samples", "50", "--seed", "3", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert json.loads(capsys.readouterr().out) == found
    assert (found["seed"], found["worlds"], found["broken"]) == (3, 1, [])
    assert found["revocations"] >= found["acknowledged"] > 0
    assert found["verifications"] > found["denied"] > 0
    assert sum(found["faults"].values()) > 0
    rows = {(row["regions"], row["condition"]): row for row in found["convergence"]}
    assert {*rows} == {(size, of) for size in (3, 6, 12) for of in ("healthy", "after heal")}
    # The farther of two regions waits for half of its round trip, which is 71 to 220 ms.
    assert 60 < rows[3, "healthy"]["p50_ms"] < 180
    assert all(row["samples"] >= 50 for row in rows.values())
    assert rows[3, "after heal"]["heals"] > rows[12, "after heal"]["heals"] == 1


def test_what_a_world_breaks_is_counted_and_told_with_what_shows_it_again(monkeypatch, capsys):
    monkeypatch.setattr(campaign, "World", partial(World, kinds=Kinds(node=AnswersBeforeSync)))
    monkeypatch.setattr(
        campaign.Campaign, "next_measurement", lambda self: self.convergence.update({3: Convergence(3)})
    )
    assert command.main(["--minutes", "0", "--seed", "0"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    [broken] = found["broken"]
    assert (broken["invariant"], found["lost"], found["resurrected"]) == (1, 1, 0)
    assert broken["replay"] == "python -m cluster.sim --replay 0"
    assert broken["replay"] in broken["text"]
    assert broken["text"] in said.err
    assert command.main(["--replay", "0"]) == 1
    assert broken["text"] in capsys.readouterr().err


def test_percentiles_need_enough_samples():
    found = Convergence(3, {"healthy": [0.1] * 999 + [0.2], "after heal": [0.1] * 999})
    assert [(row["p50_ms"], row["p99_ms"], row["p999_ms"]) for row in found.rows()] == [
        (100.0, 100.0, None),
        (100.0, None, None),
    ]


@pytest.mark.parametrize(
    "wrong", ["--minutes -1", "--seed -1", "--replay 1 --regions 4", "--regions 3"], ids=lambda wrong: wrong
)
def test_bad_usage_is_refused(wrong):
    with pytest.raises(SystemExit) as refused:
        command.main(wrong.split())
    assert refused.value.code == 2
