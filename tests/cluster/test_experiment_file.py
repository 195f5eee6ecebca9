from __future__ import annotations

from pathlib import Path

import pytest

from cluster.experiment import ExperimentError, Step, select
from cluster.experiment_console import load_all
from cluster.experiment_file import parse
from cluster.own_cluster import read_topology

GOOD = (Path(__file__).parent / "experiment.toml").read_text()


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ExperimentError) as caught:
        parse(text, "e.toml")
    return caught.value.faults


@pytest.mark.parametrize("experiment", load_all().values(), ids=lambda e: e.name)
def test_every_experiment_that_is_shipped_fits_its_topologies(experiment):
    for form in (experiment, experiment.shortened()):
        topology = read_topology(form.topology)
        assert {region for fault in form.faults for region in (fault.region, fault.to)} <= {"", *topology.regions}
        for check in form.checks:
            assert {check.region, check.not_region, check.origin, check.observer} <= {"", *topology.regions}
            assert check.location in {"", *topology.locations}


@pytest.mark.parametrize("experiment", load_all().values(), ids=lambda e: e.name)
def test_no_window_is_so_short_that_what_is_measured_in_it_holds_whatever_happens(experiment):
    for form in (experiment, experiment.shortened()):
        moments = {"begin": 0.0, "end": form.load.duration_s}
        for one in (*form.faults, *form.load.steps):
            moments.setdefault(one.name, one.at_s)
            moments.setdefault(getattr(one, "action", "load"), one.at_s)
        for check in form.checks:
            if check.kind in ("impaired_s", "recovery_s") and check.at_most is not None and not check.than:
                assert moments[check.until] - moments[check.since] > check.at_most, check.name


def test_the_quick_form_is_shorter_and_keeps_the_order_of_faults():
    full = load_all()["home-region-dies"]
    quick = full.shortened()
    assert quick.seconds < full.seconds
    assert [fault.action for fault in quick.faults] == [fault.action for fault in full.faults]
    assert all(fault.at_s < quick.load.duration_s for fault in quick.faults)


def test_crashes_that_end_before_the_load_do_so_in_the_quick_form_too():
    full = load_all()["engine-swap"]
    kills = [
        sum(fault.action == "crash" for fault in form.drawn(1, ["us-east-1"])) for form in (full, full.shortened())
    ]
    assert kills == [15, 5]
    assert "ten more kills" in full.quick.leaves_out


CRASH = GOOD.replace('action = "kill"', 'action = "crash"\nevery_s = 5\nuntil_s = 40').replace('"kill"', '"crash"')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (CRASH, "quick: until_s is missing; needed is when its crashes end"),
        (
            GOOD.replace("[quick]", "[quick]\nuntil_s = 9"),
            "quick.until_s: no crash of the experiment ends before the load",
        ),
        (
            CRASH.replace("[quick]", "[quick]\nuntil_s = 9"),
            "quick.until_s: 9 leaves no time for a crash; allowed is at least 11",
        ),
        (
            CRASH.replace("[quick]", "[quick]\nuntil_s = 12").replace("until_s = 40", "until_s = 29"),
            "faults[0].until_s: 29 leaves no time for a crash; allowed is at least 30",
        ),
    ],
)
def test_the_end_of_crashes_is_one_that_leaves_time_for_them_in_either_form(text, fault):
    assert faults_of(text) == (f"e.toml: {fault}",)


def test_a_check_of_one_backbone_counts_on_no_other():
    experiment = load_all()["revocation-convergence"]
    on_http, on_nats = experiment.on("http"), experiment.on("nats")
    assert {check.backbone for check in on_http.checks} == {"", "http"}
    assert {check.backbone for check in on_nats.checks} == {"", "nats"}
    assert [check.name for check in on_http.checks] == [check.name for check in on_nats.checks]


def test_the_quick_form_leaves_out_checks_that_say_so():
    full = load_all()["global-vs-regional"]
    assert {check.kind for check in full.checks} - {check.kind for check in full.shortened().checks} == {
        "mean_latency_ratio"
    }


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('number = "E2"', 'number = "two"', "number: 'two' does not fit"),
        ("arrivals_per_s = 6", "arrivals_per_s = nan", "load.arrivals_per_s: nan is no finite number"),
        ("latency = false", "latency = 0", "latency: 0 has the wrong type; allowed is boolean"),
        ("seeds = 3", "seeds = 3\nsedes = 4", "file: sedes is not known; allowed are checks, cutoffs, faults, finding"),
        ('action = "kill"', 'action = "burn"', "faults[0].action: 'burn' is not known; allowed are kill, start"),
        ('regional = "all"', 'regional = "some"', "load.regional: 'some' is not known; allowed are own, all, none"),
        ("timeout_s = 3\n", "", "load: timeout_s is missing"),
        ('kind = "lost"\n', 'kind = "found"\n', "checks[0].kind: 'found' is not known; allowed are accepted_after_ack"),
        ("at_least = 0\nat_most = 0", "", "checks[0]: nothing is required; allowed are at_least and at_most"),
        ("at_most = 3.5", "at_most = 3.5\npair_ms = 5", "pair_ms is not known; allowed are"),
        ("at_s = [6, 14]", "at_s = [6]", "quick.at_s: has 1 times for 2 faults; allowed is one for each"),
        ("at_s = [6, 14]", "at_s = [6, 40]", "quick.at_s: a fault comes after the load; allowed is at_s below 22"),
        ("at_s = 55", "at_s = 5", "faults: times must not go back"),
        (
            'policies = ["home-2011", "nearest-failover"]\nseeds',
            'policies = ["home-2011"]\nseeds',
            "nearest-failover is not run; allowed are home-2011",
        ),
        ('policies = ["home-2011"]', 'policies = ["fastest"]', "'fastest' is not known; allowed are dns, global-2025"),
        ('action = "kill"', 'action = "partition"', "faults[0]: to is missing; needed are at_s, action, region, to"),
        ('action = "kill"', 'action = "crash"', "faults[0]: every_s is missing; needed are at_s, action, every_s"),
        (
            'since = "kill"',
            'since = "flood"',
            "checks[1].since: no window can begin at flood; allowed are begin, kill, start",
        ),
        ('kind = "lost"\n', 'kind = "lost"\norigin = "us-east-1"\n', "checks[0]: origin is not known; allowed are"),
        (
            "seeds = 3",
            'seeds = 3\nvariants = [{name = "one"}]',
            "variants: [{'name': 'one'}] is too short; allowed are",
        ),
        (
            "seeds = 3",
            'seeds = 3\nvariants = [{name = "a"}, {name = "b", clients = "rude"}]',
            "variants[1].clients: 'rude' is not known; allowed are budget, jitter",
        ),
        (
            "seeds = 3",
            'seeds = 3\nvariants = [{name = "a", without = ["luck"]}, {name = "b"}]',
            "variants[0].without[0]: 'luck' is not known; allowed are active-checks, deep-checks",
        ),
        (
            "seeds = 3",
            'seeds = 3\nvariants = [{name = "a", front = "nginx"}, {name = "b"}]',
            "variants[0].front: 'nginx' is not known; allowed are haproxy, haproxy-observe",
        ),
        (
            "seeds = 3",
            'seeds = 3\nvariants = [{name = "a", policies = ["dns"]}, {name = "b"}]',
            "variants[0].policies: dns is not run; allowed are home-2011, nearest-failover",
        ),
        (
            "seeds = 3",
            'seeds = 3\nvariants = [{name = "a", policies = ["nearest-failover"]}, {name = "b"}]',
            "checks[0].policies: a is not run under home-2011; allowed are nearest-failover",
        ),
        ('kind = "lost"\n', 'kind = "lost"\nvariants = ["a"]\n', "variants: a is not compared; allowed are none"),
        ('kind = "lost"\n', 'kind = "lost"\nthan = "a"\n', "checks[0].than: a is not compared; allowed are none"),
        (
            "timeout_s = 3\n",
            'timeout_s = 3\nsteps = [{at_s = 90, times = 2, name = "rush"}]\n',
            "load.steps: a step comes after the load; allowed is at_s below 75",
        ),
        ("[quick]", "[quick]\nsteps_at_s = [3]", "quick.steps_at_s: has 1 times for 0 load.steps"),
        ("number =", "number ==", "not TOML"),
        ("seeds = 3", f"seeds = 3{'0' * 400}", "seeds: the integer is out of range; allowed are 64 bits"),
        ("seeds = 3", f"seeds = {'[' * 9_999}", "nested too deep"),
    ],
)
def test_a_fault_names_its_place_its_reason_and_what_is_allowed(old, new, fault):
    assert old in GOOD
    found = faults_of(GOOD.replace(old, new, 1))
    assert any(fault in line for line in found), found
    assert all(line.startswith("e.toml: ") for line in found)


def test_variants_are_judged_by_every_check_that_names_none_and_steps_can_bound_a_window():
    text = GOOD.replace(
        "seeds = 3",
        'seeds = 3\nvariants = [{name = "a", without = ["retries"]}, {name = "b", clients = "jitter", dns_ttl_s = 5}]',
        1,
    )
    text = text.replace("timeout_s = 3\n", 'timeout_s = 3\nsteps = [{at_s = 9, times = 2, name = "rush"}]\n', 1)
    text = text.replace("[quick]", "[quick]\nsteps_at_s = [3]").replace('since = "start"', 'since = "rush"')
    experiment = parse(text, "e.toml")
    assert [variant.clients for variant in experiment.variants] == ["plain", "jitter"]
    assert [(variant.without, variant.dns_ttl_s) for variant in experiment.variants] == [(("retries",), 60), ((), 5)]
    assert {check.variants for check in experiment.checks} == {("a", "b")}
    assert experiment.shortened().load.steps == (Step(3.0, 2, "rush"),)
    assert experiment.seconds == 2 * parse(GOOD, "e.toml").seconds


def test_a_variant_of_some_policies_is_run_under_no_other():
    variants = 'seeds = 3\nvariants = [{name = "a"}, {name = "b", front = "haproxy", policies = ["nearest-failover"]}]'
    text = GOOD.replace("seeds = 3", variants, 1).replace('kind = "', 'variants = ["a"]\nkind = "')
    experiment = parse(text.replace('variants = ["a"]\nkind = "open"', 'kind = "open"'), "e.toml")
    runs = [(policy, variant.name, variant.front) for policy, variant in experiment.arms]
    assert runs == [("home-2011", "a", ""), ("nearest-failover", "a", ""), ("nearest-failover", "b", "haproxy")]
    assert experiment.seconds == 3 / 2 * parse(GOOD, "e.toml").seconds


def test_a_fault_is_told_once():
    text = GOOD[: GOOD.index("[[faults]]")].replace("seeds = 3", "seeds = 3\nfaults = 7", 1)
    assert [line for line in faults_of(text) if "faults: 7" in line] == [
        "e.toml: faults: 7 has the wrong type; allowed is array"
    ]


def test_all_faults_are_told_at_once():
    text = GOOD.replace("latency = false", "latency = 0").replace('action = "kill"', 'action = "burn"')
    assert len(faults_of(text)) == 2


def test_experiments_are_chosen_by_slug_number_or_all_and_each_once():
    known = load_all()
    chosen = select(["e2", "home-region-dies", "all"], known)
    others = [number for number in (experiment.number for experiment in known.values()) if number != "E2"]
    assert [experiment.number for experiment in chosen] == ["E2", *others]


def test_a_number_chooses_every_experiment_that_has_it():
    chosen = select(["E4"], load_all())
    assert [experiment.name for experiment in chosen] == [
        "revocation-convergence",
        "revocation-convergence-split",
        "revocation-convergence-tail",
    ]


def test_an_unknown_name_is_refused_with_the_names_that_exist():
    with pytest.raises(ExperimentError, match="experiment E99: not known; choose global-vs-regional, home-region-dies"):
        select(["E1", "E99"], load_all())


def test_a_full_run_has_three_seeds_and_a_quick_one_has_one():
    found = load_all()
    assert {one.seeds for one in found.values()} == {3}
    assert {one.shortened().seeds for one in found.values()} == {1}
