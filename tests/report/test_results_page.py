"""The page of results: what was run in which form, and how to run it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cluster.report import published, results_page
from cluster.report.page import page as report
from tests.report import results

LEFT_OUT = "Quick form: it leaves out two more seeds, a black-out of 20 seconds, and an HAProxy that observes answers"


def full(name: str = "home-region-dies", **parameters: Any) -> Any:
    return results.record(name, parameters={"form": "full", **parameters})


def page(*records: Any, numbers: dict[str, str] | None = None) -> str:
    lines = [published.line(one, None) for one in records]
    return results_page.markdown(lines, {one.name: one.number for one in records} if numbers is None else numbers)


def at_once(text: str) -> list[str]:
    """The first block of commands."""
    return text.split("```sh\n")[1].partition("\n```")[0].splitlines()


def test_a_quick_result_says_what_its_form_leaves_out():
    text = page(results.record())
    assert LEFT_OUT in text
    assert "All ran in quick form; what that leaves out is said of each." in text
    assert "for how long? | quick | " in text


def test_a_full_result_says_that_nothing_is_left_out():
    text = page(full(quick_leaves_out="two more seeds"))
    assert "\n\nFull form: nothing is left out.\n\n" in text
    assert "All ran in full form, which leaves nothing out." in text
    assert "two more seeds" not in text


def test_the_page_says_what_its_commands_need():
    text = page(results.record(), replace(full(), name="rolling-upgrade", number="E17"))
    assert "`haproxy` for E2 and the git history of this repository for E17.\n" in text
    assert "the project's `.venv`, active" in text
    assert "nats-server" not in text
    assert "haproxy" not in page(full(simulated=True)).partition("\n## ")[0]


def test_each_line_says_at_which_commit_it_was_measured():
    line = published.line(results.record(commit="a" * 40), None)
    several = replace(line, commits=("a", "b"))
    for one, said in ((line, "commit `aaaaaaaaaaaa`"), (several, "one of the commits `a` and `b`")):
        section = results_page.markdown([one], {}).partition("\n## ")[2]
        assert f"Measured at {said}; again with:\n\n```sh\n" in section


def test_a_dirty_commit_stays_dirty():
    dirty = results.record(commit="a" * 40 + "-dirty")
    assert "commit `aaaaaaaaaaaa-dirty`" in page(dirty)
    assert "commit aaaaaaaaaaaa-dirty." in report([dirty], [])


def test_what_a_form_leaves_out_is_not_markdown():
    hostile = {"form": "quick", "quick_leaves_out": "`x` <b>"}
    assert "it leaves out \\`x\\` \\<b>." in page(results.record(parameters=hostile))


def test_a_result_without_forms_claims_none():
    text = page(results.record(parameters={}))
    assert " form;" not in text
    assert "Full form" not in text
    assert "Quick form" not in text


def test_quick_and_full_results_on_one_page_have_the_commands_of_their_own_form():
    text = page(results.record("global-vs-regional"), full())
    assert "1 of 2 ran in quick form; what that leaves out is said of each." in text
    run = "python -m cluster experiment run"
    assert at_once(text) == [
        f"{run} global-vs-regional --quick --seed 1 --out out/",
        f"{run} home-region-dies --seed 1 --out out/",
        "python -m cluster experiment publish out/",
    ]
    assert text.count(f"```sh\n{run} global-vs-regional --quick --seed 1 --out out/\n```") == 1
    assert text.count(f"```sh\n{run} home-region-dies --seed 1 --out out/\n```") == 1


def test_all_in_one_form_are_one_command_and_some_of_them_are_named():
    quick = results.record("global-vs-regional"), results.record()
    assert at_once(page(*quick))[0] == "python -m cluster experiment run all --quick --seed 1 --out out/"
    some = at_once(page(*quick, numbers=results.NUMBERS))[0]
    assert some == "python -m cluster experiment run global-vs-regional home-region-dies --quick --seed 1 --out out/"


def test_seed_backbone_and_virtual_time_are_in_the_command_for_all():
    one = results.record(seed=7, parameters={"form": "full", "backbone": "nats", "simulated": True})
    assert at_once(page(one))[0] == (
        "python -m cluster experiment run all --seed 7 --backbone nats --simulate --out out/"
    )


def test_an_option_of_several_lines_leaves_the_commands_what_they_are():
    text = page(full(backbone="x\n```\ny"))
    assert at_once(text)[0] == "python -m cluster experiment run all --seed 1 --backbone 'x ``` y' --out out/"


def test_what_another_command_makes_comes_after_the_experiments():
    place = {"topology": {"regions": ["a", "b"]}, "parameters": {"nodes_per_region": 10}}
    wide = replace(results.record(), name="many-regions", number="", **place)
    text = page(wide, results.record(), numbers={"home-region-dies": "E2"})
    assert at_once(text)[1] == "python -m cluster sim --regions 2 --nodes 10 --seed 1 --out out/"
