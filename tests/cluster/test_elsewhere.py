"""Experiments on another topology than their own, and on another network: what is refused, scaled and told."""

from __future__ import annotations

import json
import os

import pytest

from cluster import elsewhere, experiment_console, namespaces
from cluster.errors import ClusterError
from cluster.load import groups
from cluster.own_cluster import read_topology
from cluster.report import record, words
from cluster.virtual import console
from tests.running import run

ALL = experiment_console.load_all()
TIED = [
    *("revocation-convergence-split", "slow-node", "retry-storm", "failover-herd", "engine-swap", "rolling-upgrade"),
]


def total_per_s(one, topology) -> float:
    return one.load.arrivals_per_s * len(groups(topology, one.load.regional))


@pytest.mark.parametrize("name", [name for name in ALL if name not in TIED])
def test_a_larger_topology_gets_no_more_load_than_a_machine_bears(name):
    one, there = ALL[name].shortened(), read_topology("six_regions")
    own = read_topology(one.topology)
    (moved,) = experiment_console.placed([one], "six_regions", every=False)
    assert moved.topology == "six_regions"
    assert total_per_s(moved, there) <= max(total_per_s(one, own), 120) + 1e-9
    assert moved.load.arrivals_per_s <= one.load.arrivals_per_s
    if one.revoking is not None:
        asked = one.revoking.per_s * len(own.regions) * (len(own.regions) - 1)
        assert moved.revoking.per_s * 6 * 5 == pytest.approx(asked)


def test_a_smaller_topology_changes_no_rate():
    one, there = ALL["control-plane-outage"], read_topology("two_continents")
    moved = elsewhere.moved(one, "two_continents", there, read_topology(one.topology))
    assert (moved.load, moved.revoking) == (one.load, one.revoking)


@pytest.mark.parametrize("name", TIED)
def test_what_means_nothing_elsewhere_is_refused_with_its_reason_alone_and_left_out_of_all(name, capsys):
    with pytest.raises(ClusterError, match=f"--topology six_regions: {name}: it is tied to .*: .*; allowed is no"):
        experiment_console.placed([ALL[name]], "six_regions", every=False)
    (kept,) = experiment_console.placed([ALL[name], ALL["global-vs-regional"]], "six_regions", every=True)
    assert kept.name == "global-vs-regional"
    assert f"left out: --topology six_regions: {name}: it is tied to " in capsys.readouterr().err


def test_faults_and_checks_whose_places_are_not_there_are_refused_by_path_and_with_what_is_allowed():
    done = run(
        "cluster", "experiment", "run", "revocation-convergence", "--topology", "two_continents", "--out", os.devnull
    )
    assert done.returncode == 2
    assert done.stderr == (
        "cluster: --topology two_continents: revocation-convergence: faults[0].region: ap-southeast-1 is not a region"
        " of the cluster; allowed are us-east-1, eu-west-1\n"
    )
    refused = elsewhere.refusals(ALL["asymmetric-partition"], read_topology("equally_far"))
    assert (
        "checks[2].observer: eu-west-1 is not a region there; allowed are us-east-1, us-east-2, ca-central-1" in refused
    )
    refused = elsewhere.refusals(ALL["global-vs-regional"], read_topology("two_continents"))
    assert any("location: nobody calls from " in line and line.endswith("us-east-1, eu-west-1") for line in refused)


def test_a_topology_that_does_not_exist_is_refused_with_those_that_do():
    done = run("cluster", "experiment", "run", "E10", "--simulate", "--topology", "nowhere", "--out", os.devnull)
    assert done.returncode == 2
    assert done.stderr.startswith("cluster: --topology nowhere: no such topology; give a .toml file or one of ")
    assert done.stderr.count("\n") == 1


def test_the_result_tells_its_topology_its_command_repeats_it_and_a_calibration_takes_it(tmp_path):
    out = ("--simulate", "--quick", "--topology", "six_regions", "--out", str(tmp_path))
    done = run("cluster", "experiment", "run", "control-plane-outage", *out)
    path = tmp_path / "control-plane-outage" / "result.json"
    found = json.loads(path.read_text())
    assert (done.returncode, found["topology"]["name"], len(found["topology"]["regions"])) == (0, "six_regions", 6)
    read = record.parse(path.read_text(), experiment_console.numbers())
    assert words.command(read) == (
        "python -m cluster experiment run control-plane-outage --quick --seed 1"
        " --topology six_regions --simulate --out out/"
    )
    found["parameters"]["simulated"] = False
    again = console._repeatable(found, path)
    assert again is not None
    assert again.topology == "six_regions"
    assert again.load.arrivals_per_s == found["parameters"]["load"]["arrivals_per_s"]
    assert again.load.arrivals_per_s < ALL["control-plane-outage"].shortened().load.arrivals_per_s


def test_a_topology_that_is_gone_keeps_a_result_from_being_compared(capsys, tmp_path):
    parameters = {"simulated": False, "backbone": "http", "form": "quick", "topology": "gone.toml"}
    content = {"name": "control-plane-outage", "valid": True, "parameters": parameters, "seed": 1}
    assert console._repeatable(content, tmp_path) is None
    assert "not compared: --topology gone.toml: cannot be read" in capsys.readouterr().err


def test_namespaces_are_refused_in_words_where_there_are_none_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(namespaces, "why_not", lambda: "that needs root")
    with pytest.raises(
        ClusterError, match="--network netns: not possible here: that needs root; --network inproc works"
    ):
        experiment_console.run_all(["E10"], quick=True, seed=1, out=tmp_path / "out", network="netns")
    assert not (tmp_path / "out").exists()


def test_virtual_time_has_no_namespaces():
    done = run("cluster", "experiment", "run", "E10", "--simulate", "--network", "netns", "--out", os.devnull)
    assert done.returncode == 2
    assert "virtual time has a network of its own" in done.stderr
