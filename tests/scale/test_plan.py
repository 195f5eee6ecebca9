"""Many regions of many nodes: the hop model against real cores, and quantities against what is known of them."""

from __future__ import annotations

import json
from math import ceil
from random import Random

import pytest

from cluster import experiment_console
from cluster.errors import ClusterError
from cluster.latency import Link
from cluster.scale import capacity, console, costs, exact, fleet, partition, plan, stampede
from cluster.scale.plan import Size
from cluster.scale.tree import Tree, arrivals
from stsd.revocation.messages import MAX_FETCH_BYTES


@pytest.fixture(scope="module")
def world():
    return console._topology(5)


@pytest.mark.parametrize(("fan_out", "depth"), [(10, 3), (32, 2), (1000, 1)])
def test_every_node_hangs_below_a_head_and_no_node_has_too_many_below_it(fan_out, depth):
    parents = Tree(1000, fan_out).parents()
    assert parents[:3] == [0, 1, 2]
    below = [sum(parent == number for parent in parents[3:]) for number in range(1000)]
    assert max(below) <= fan_out

    def steps(number):
        return 0 if number < 3 else 1 + steps(parents[number])

    assert max(map(steps, range(1000))) == depth


def test_nobody_applies_a_revocation_before_the_node_above_and_distance_counts(world):
    tree, links = Tree(40), plan.links_of(world)
    parents = tree.parents()
    found = arrivals("us-east-1", world.regions, links, tree, parents, Random(1))
    own, far = found[:40], found[40 * world.regions.index("sa-east-1") :][:40]
    assert all(own[number] > own[parents[number]] for number in range(3, 40))
    assert min(far) > 0.05 > sorted(own)[20]


def test_the_hop_model_says_what_real_cores_do(world):
    part = plan.calibration(Size(world, 4, 3))
    assert [verdict.holds for verdict in part.verdicts] == [True, True]


def test_too_many_nodes_for_real_cores_are_refused(world):
    with pytest.raises(ValueError, match="505 nodes are too many; exact is at most 500"):
        exact.TreeWorld(1, world.regions, 101, plan.links_of(world))


def test_even_spill_needs_one_nth_of_room_and_nearest_spill_half(world):
    loads = [number / 100 for number in range(30, 100)]
    assert capacity.cliff(world, "weighted", loads) == 0.8
    assert capacity.cliff(world, "nearest-failover", loads) == 0.5
    assert capacity.cliff(world, "nearest", loads) is None
    assert capacity.worst(world, "home-2011", 0.3) == (0.2, 1.0)
    # A neighbour with 0.7 of its own and 0.7 more loses 0.4 of the world's 3.5.
    assert capacity.lost_share(world, "nearest-failover", "us-east-1", 0.7) == pytest.approx(0.4 / 3.5)


def test_a_longer_cut_takes_longer_to_catch_up_and_staleness_only_falls_afterwards():
    cost = costs.cost(46, 30, 3, 0.005)
    short, long = (partition.Backlog(cut_s, cost, 0.97, 0.1) for cut_s in (60, 600))
    assert partition.catch_up(short, 0.1)[0] < partition.catch_up(long, 0.1)[0]
    course = list(partition.timeline(long, 0.1))
    assert course[-1].backlog == 0
    after = [moment.staleness_s for moment in course if moment.at_s > 600][:-1]
    assert after == sorted(after, reverse=True)
    with pytest.raises(ValueError, match="more than one core applies"):
        partition.catch_up(partition.Backlog(60, costs.cost(1e6, 30, 3, 0.005), 0.97, 0.1), 0.1)


def test_each_answer_of_a_catch_up_has_at_most_so_many_bytes():
    found = partition.Backlog(600, costs.cost(1_000, 30, 3, 0.005), 0.97, 0.1)
    seconds, moments = partition.catch_up(found, 0.1)
    assert len(moments) == ceil(found.bytes / MAX_FETCH_BYTES) > 10
    assert seconds > 0.1 + len(moments) * found.round_trip_s


def test_a_head_waits_for_whichever_head_of_its_region_hears_first(world):
    links = {pair: Link(0.05 * 1000, 40.0) for pair in plan.links_of(world)}
    tree = Tree(3)
    found = [arrivals("us-east-1", world.regions, links, tree, tree.parents(), Random(seed)) for seed in range(40)]
    far = [one[3 * at : 3 * at + 3] for one in found for at in range(1, len(world.regions))]
    assert max(max(heads) - min(heads) for heads in far) < 0.02


def test_naive_retries_keep_an_overload_up_and_budgets_end_it(world):
    part = fleet.storms(Size(world, 1, 7), experiment_console.load_all()[console.STORM])
    rows = {row[0]: dict(zip(part.tables[0]["columns"], row, strict=True)) for row in part.tables[0]["rows"]}
    assert rows["naive"]["share_lost_after"] > 0.95
    assert rows["budget"]["share_lost_in_overload"] > 0.2 > 0.05 > rows["budget"]["share_lost_after"]
    assert rows["naive"]["attempts_per_request"] > 2


def test_bytes_are_those_of_the_codec_and_batches_save_them():
    assert 100 < costs.entry_bytes() < costs.batch_bytes() < costs.message_bytes(1)
    few, many = costs.cost(46, 30, 3, 0.005), costs.cost(100_000, 30, 3, 0.005)
    assert few.batches_per_s == pytest.approx(46, rel=0.01)
    assert many.bytes_per_s / 100_000 < few.bytes_per_s / 46 / 2


def test_spreading_flattens_a_stampede():
    at_once, spread = (stampede.cold_start(5_000, spread_s, Random(1), 60) for spread_s in (0.1, 60))
    assert at_once.peak_per_s == 5_000
    assert spread.peak_to_mean < 2
    assert spread.done_s >= at_once.done_s


def test_downloads_wait_for_each_other_and_for_whoever_comes_last():
    each_s = stampede.SNAPSHOT_BYTES / stampede.EGRESS_BYTES_PER_S
    crowd, few = (stampede.cold_start(count, 0.001, Random(1), 60).done_s for count in (1_000, 1))
    assert crowd == pytest.approx(1_000 * each_s, abs=0.001)
    assert few == pytest.approx(each_s, abs=0.001)
    assert 59 < stampede.cold_start(1_000, 60, Random(1), 60).done_s < 60.1


def test_the_command_tells_everything(tmp_path, capsys):
    code = console.run(2, 2, 7, tmp_path)
    found = json.loads((tmp_path / "many-regions" / "result.json").read_text())
    assert code == int(not all(check["holds"] for check in found["checks"]))
    assert {table["name"] for table in found["series"]} >= {"convergence", "partition", "failover", "costs", "stampede"}
    assert "checks" in capsys.readouterr().out


def test_a_seed_repeats_every_number(world):
    assert plan.convergence(Size(world, 20, 7)) == plan.convergence(Size(world, 20, 7))
    assert plan.convergence(Size(world, 20, 7)) != plan.convergence(Size(world, 20, 8))


def test_regions_that_the_table_has_not_are_refused():
    with pytest.raises(ClusterError, match="--regions 40: give 1"):
        console._topology(40)
