"""Folders of experiment files of which one cannot be used: it is refused by its path before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cluster import experiment_console, experiment_folder
from cluster.errors import ClusterError
from cluster.experiment_console import EXPERIMENTS

THREE = "us-east-1, eu-west-1, ap-southeast-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what is shipped."""
    return shutil.copytree(EXPERIMENTS, tmp_path / "experiments")


def refused(folder: Path) -> tuple[str, ...]:
    with pytest.raises(ClusterError) as caught:
        experiment_folder.read(folder)
    return caught.value.faults


def mutate(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_is_shipped_is_read_in_the_order_of_its_numbers(folder):
    found = experiment_folder.read(folder)
    assert len(found) == len([*EXPERIMENTS.glob("*.toml")])
    assert [*found][:2] == ["global-vs-regional", "home-region-dies"]


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        (
            "control-plane-outage",
            'action = "isolate"',
            'action = "isolate"\nregion = "mars"',
            f"faults[0].region: mars is not a region of the cluster; allowed are {THREE}",
        ),
        (
            "asymmetric-partition",
            'to = "eu-west-1"',
            'to = "mars"',
            f"faults[0].to: mars is not a region of the cluster; allowed are {THREE}",
        ),
        (
            "home-region-dies",
            'not_region = "us-east-1"',
            'not_region = "mars"',
            f"checks[0].not_region: mars is not a region there; allowed are {THREE}",
        ),
        (
            "asymmetric-partition",
            'origin = "us-east-1"',
            'origin = "mars"',
            f"checks[2].origin: mars is not a region there; allowed are {THREE}",
        ),
        (
            "home-region-dies",
            'location = "ap-southeast-1"',
            'location = "mars"',
            f"location: nobody calls from mars there; allowed are {THREE}",
        ),
        (
            "home-region-dies",
            'topology = "three_regions"',
            'topology = "nowhere"',
            "topology: nowhere: no such topology; give a .toml file or one of equally_far, four_regions, ",
        ),
        (
            "home-region-dies",
            "[quick]",
            '[quick]\ntopology = "two_continents"',
            "location: nobody calls from ap-southeast-1 there; allowed are us-east-1, eu-west-1",
        ),
        (
            "home-region-dies",
            "[quick]",
            '[quick]\ntopology = "nowhere"',
            "quick.topology: nowhere: no such topology; give a .toml file or one of equally_far, four_regions, ",
        ),
    ],
)
def test_a_place_that_its_topology_does_not_have_is_refused_with_those_that_it_has(folder, name, old, new, fault):
    path = folder / f"{name}.toml"
    mutate(path, old, new)
    found = refused(folder)
    assert all(line.startswith(f"{path}: ") for line in found)
    assert any(fault in line for line in found), found


def test_only_checks_that_the_quick_form_has_need_their_place_on_its_topology(folder):
    path = folder / "global-vs-regional.toml"
    mutate(path, 'topology = "opt_in_place"', 'topology = "three_regions"')
    where = f"{path}: quick.topology three_regions: checks[4].location"
    assert refused(folder) == (f"{where}: nobody calls from ap-east-1 there; allowed are {THREE}",)
    mutate(path, 'location = "ap-east-1"', 'location = "ap-east-1"\nquick = false')
    assert experiment_folder.read(folder)["global-vs-regional"].quick.topology == "three_regions"


def test_all_files_that_cannot_be_used_are_told_at_once(folder):
    mutate(folder / "brown-out.toml", "latency = ", "latency = 0 #")
    mutate(folder / "slow-node.toml", 'topology = "equally_far"', 'topology = "nowhere"')
    (folder / "bytes.toml").write_bytes(b"\xff")
    told = [line.partition(":")[0] for line in refused(folder)]
    assert told == [
        f"{folder / 'brown-out.toml'}",
        f"experiment {folder / 'bytes.toml'}",
        f"{folder / 'slow-node.toml'}",
    ]


def test_two_files_of_one_name_are_refused_with_both_paths(folder):
    first, second = folder / "brown-out.toml", folder / "second.toml"
    shutil.copy(first, second)
    assert refused(folder) == (f"{second}: name: brown-out is that of {first} too; allowed is a name of its own",)


def test_a_file_that_cannot_be_used_keeps_every_run_from_starting(folder, monkeypatch, tmp_path):
    mutate(folder / "home-region-dies.toml", 'region = "us-east-1"', 'region = "mars"')
    monkeypatch.setattr(experiment_console, "EXPERIMENTS", folder)
    with pytest.raises(ClusterError, match="mars is not a region of the cluster"):
        experiment_console.run_all(["E10"], quick=True, seed=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
