from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cluster.fault_records import ACTIONS
from cluster.report import words
from cluster.report.page import page
from cluster.result import parameters
from tests.report import results


class Parsed(HTMLParser):
    """Tags, ids and references of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src", "xlink:href") if name in given]

    def handle_data(self, data):
        self.text += data


def test_a_page_needs_nothing_but_itself():
    text = page([results.record(), results.record("revocation-convergence", [results.revoking()])], [])
    parsed = Parsed(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
    assert all(link.startswith("#") for link in parsed.links)
    assert {link[1:] for link in parsed.links} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "default-src 'none'" in text
    assert not re.search(r"url\((?!#)|@import", text)


def test_every_check_stands_there_with_its_number_and_what_was_required():
    record = results.record()
    text = Parsed(page([record], [])).text
    for check in record.checks:
        assert check.name in text
        assert check.required in text
    assert record.question in text
    assert record.answer in text
    assert "c0ffee" in text
    assert "python -m cluster experiment run home-region-dies --quick --seed 1 --out out/" in text


def test_checks_that_did_not_hold_stand_first_and_are_never_folded_away():
    made = [{"name": f"check {n:02}", "holds": n < 18, "measured": 1, "required": "at most 2"} for n in range(20)]
    text = page([results.record(checks=made, answer="")], [])
    shown, folded = text.split("more that held", 1)
    assert re.findall("check \\d\\d", shown) == ["check 18", "check 19", *(f"check {n:02}" for n in range(10))]
    assert re.findall("check \\d\\d", folded) == [f"check {n:02}" for n in range(10, 18)]


def test_conditions_are_those_of_the_worst_run():
    columns = ["policy", "seed", "idle_cpu", "delay_error_ms_p99", "link_error_ms_p99", "generator_lag_ms_p99"]
    rows = [["p", 1, 0.7, 0.5, 4.0, 9.0], ["p", 2, 0.4, 2.0, None, 3.0], ["p", 3, 0.5, 1.0, 3.0, None]]
    text = page([results.record(series=[{"name": "conditions", "columns": columns, "rows": rows}])], [])
    assert "at least 40% of the CPU was idle; 99 of 100 delays were at most 2 ms longer" in text
    assert "99 of 100 delays between nodes were at most 4 ms longer than asked" in text
    assert "sent at most 9 ms late" in text


def test_a_long_series_is_shown_in_part_and_says_so():
    rows = [[f"row {n}"] for n in range(450)]
    text = page([results.record(series=[{"name": "long", "columns": ["what"], "rows": rows}])], [])
    assert "row 399<" in text
    assert "row 400<" not in text
    assert "50 more rows are in result.json" in text


def test_an_overview_tells_what_each_experiment_came_to():
    held = {"checks": [{"name": "a", "holds": True, "measured": 1, "required": "at most 2"}], "valid": True}
    records = [
        results.record("global-vs-regional", **held),
        results.record(),
        results.record("kill-during-revocation", []),
    ]
    text = page(records, [])
    for said in ("holds", "does not hold", "not valid"):
        assert f'">{said}</span>' in text
    assert text.count('<section class="experiment"') == 3


def test_a_result_that_is_not_valid_and_has_nothing_says_why():
    text = Parsed(page([results.record(runs=[], broken="stopped before its end")], [])).text
    assert "Not valid: stopped before its end." in text
    assert text.count("stopped before its end") == 1
    assert "nothing" in text


def test_nothing_of_a_result_is_taken_for_markup():
    hostile = results.HOSTILE
    check = {"name": hostile, "holds": False, "measured": None, "required": hostile}
    series = [{"name": hostile, "columns": ["policy", "second", hostile], "rows": [[hostile, 0, 1], [hostile, 1, 2]]}]
    topology = {"name": hostile, "regions": [hostile], "home": hostile, "locations": [hostile]}
    record = results.record(
        question=hostile, answer=hostile, commit=hostile, checks=[check], series=series, topology=topology
    )
    text = page([record, results.record()], [hostile])
    assert "<script" not in text
    assert "alert" in Parsed(text).text


def test_what_was_done_is_told_in_words():
    told = dict(words.done(results.record()))
    assert told["Faults"] == "at 1.5 s kill us-east-1; at 6 s start us-east-1 again."
    assert told["Topology"].startswith("three_regions: three regions, us-east-1 (home), eu-west-1 and ap-southeast-1")
    assert "14 requests a second" in told["Load"]
    assert dict(words.done(results.record(parameters={}))) == {"Topology": told["Topology"]}
    assert "Network" not in told
    own = dict(words.done(results.record(parameters={"network": "netns"})))
    assert own["Network"].startswith("A namespace for each region and an IP router between them;")
    before = {"upgrade_from": "729a5c34c87471b742899ee715a21c2f142200fa"}
    told = dict(words.done(results.record(parameters=before)))
    assert told["Version before"].startswith("Every node is at first of commit 729a5c34c874;")
    assert "Also set" not in told
    later = {"form": "full", "faults": [{"at_s": 3, "action": "melt", "region": "us-east-1", "degrees": 900.5}]}
    assert dict(words.done(results.record(parameters=later)))["Faults"] == "at 3 s melt us-east-1 (degrees 900.5)."


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"action": "partition", "region": "a", "to": "b", "one_way": True}, "cut a to b"),
        ({"action": "isolate", "region": "a"}, "cut a off from every other region"),
        ({"action": "isolate", "region": ""}, "cut every link between regions"),
        ({"action": "error-rate", "region": "a", "share": 0.3, "status": None}, "a answers 30% of its calls with 503"),
        ({"action": "slow", "region": "a", "to": "b", "ms": 0.0}, "end slow of a and b"),
        ({"action": "heal", "region": ""}, "heal everything"),
        ({"action": "heal", "region": "a", "variants": ["x"]}, "heal a (variants x)"),
        ({"action": "grey", "region": "a", "variants": ["x", "y"]},
         "a issues no session, and its health checks are fine (variants x and y)"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["action"],
)  # fmt: skip
def test_every_fault_is_told_in_words(fault, said):
    assert words.fault_words(fault) == said


def test_crashes_are_told_with_their_end():
    crash = {"action": "crash", "region": "", "every_s": 3.0}
    each = "kill a random region and start it at once, at a random moment of every 3 s from then on"
    assert words.fault_words(crash | {"until_s": None}) == each
    assert words.fault_words(crash | {"until_s": 150.0}) == f"{each} until 150 s"


@pytest.mark.parametrize(
    ("quick", "said"),
    [
        (False, "eight times, every 18 s from 100 s on: cut every link between regions, 12.5 s later heal everything"),
        (True, "eight times, every 6 s from 20 s on: cut every link between regions, 3 s later heal everything"),
    ],
)
def test_what_comes_again_and_again_is_told_once(quick, said):
    one = results.EXPERIMENTS["revocation-convergence-tail"]
    members = parameters(one.shortened() if quick else one, quick, "http")
    again, *rest = words.faults(results.record(parameters=members))
    assert again == said
    assert [phrase.partition(" s ")[2] for phrase in rest] == ["cut us-east-1 to eu-west-1", "heal everything"]


def test_cuts_of_all_links_of_one_region_are_one_and_others_stay_what_they_are():
    cut = {"action": "partition", "region": "us-east-1", "at_s": 3.0}
    first, second = cut | {"to": "eu-west-1"}, cut | {"to": "ap-southeast-1", "at_s": 3.01}
    cases = ([first, second], [first], [first, second | {"at_s": 9}], [first | {"one_way": True}, second])
    assert [words.faults(results.record(parameters={"faults": faults})) for faults in cases] == [
        ["at 3 s cut us-east-1 off from every other region"],
        ["at 3 s cut us-east-1 and eu-west-1"],
        ["at 3 s cut us-east-1 and eu-west-1", "at 9 s cut us-east-1 and ap-southeast-1"],
        ["at 3 s cut us-east-1 to eu-west-1", "at 3.01 s cut us-east-1 and ap-southeast-1"],
    ]


def test_a_long_schedule_of_faults_is_folded_away_and_nothing_of_it_is_lost():
    faults = [{"at_s": n * n, "action": "kill", "region": f"region-{n}"} for n in range(9)]
    long, short = (page([results.record(parameters={"faults": faults[:n]})], []) for n in (9, 6))
    folded = long.partition("nine faults, one after the other</summary>")[2].partition("</details>")[0]
    assert folded.startswith("at 0 s kill region-0; at 1 s kill region-1; at 4 s")
    assert folded.endswith("at 64 s kill region-8.")
    assert "one after the other" not in short


def test_every_action_has_words():
    assert {*ACTIONS} - {"heal"} == {*words.ACTIONS}


def test_results_that_no_experiment_made_have_their_own_command():
    topology = {"name": "table", "regions": ["a", "b"], "home": "a", "locations": ["a"]}
    wide = results.record(topology=topology, parameters={"simulated": True, "nodes_per_region": 9})
    assert words.command(replace(wide, name="many-regions")) == (
        "python -m cluster sim --regions 2 --nodes 9 --seed 1 --out out/"
    )
    assert "--simulate" in words.command(wide)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({}, ""),
        ({"regions": 9}, " --regions 9"),
        ({"nodes_per_region": 1000.0}, " --nodes 1000"),
        ({"regions": 9, "nodes_per_region": 1000}, " --regions 9 --nodes 1000"),
    ],
    ids=str,
)
def test_a_simulated_run_is_repeated_on_as_many_regions_and_nodes(size, said):
    run = "python -m cluster experiment run home-region-dies --seed 1"
    virtual, real = ({"simulated": simulated, **size} for simulated in (True, False))
    assert words.command(results.record(parameters=virtual)) == f"{run} --simulate{said} --out out/"
    assert words.command(results.record(parameters=real)) == f"{run} --out out/"
