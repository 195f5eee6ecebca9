from __future__ import annotations

import re
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from cluster.history import Look
from cluster.report import course_plots, draw_curves, drawing, gallery, latency_plots, palette, quantile_plots
from cluster.report.plots import Cells, Curves, Line, Mark, Plot, aligned
from tests.report import results


def named(record, slug):
    return next(plot for plot in gallery.plots(record) if plot.slug == slug)


def test_losses_by_the_second_are_shares_of_each_endpoint_with_the_fault_marked():
    home, nearest = named(results.record(), "timeline-lost").panels
    assert home.marks == (Mark(6.0, 14.0, "kill us-east-1"),)
    lines = {line.label: dict(line.points) for line in home.lines}
    assert lines["global"][5] == 0
    assert lines["global"][7] == 1
    assert lines["other regional"][7] == 0
    assert dict(next(line for line in nearest.lines if line.label == "global").points)[7] == pytest.approx(1 / 3)


def test_blast_radius_is_the_share_lost_by_place_and_endpoint():
    [home, _] = named(results.record(), "blast-radius").panels
    assert isinstance(home, Cells)
    assert home.columns == ("global", "ap-southeast-1", "eu-west-1", "us-east-1")
    assert home.values[0] == (0.4, 0.0, 0.0, 0.4)
    assert "ap-southeast-1 at global: 80 of 200 lost" in home.alt


def test_a_distribution_ends_where_no_sample_was_seen():
    plot = quantile_plots.latency(results.record())
    assert plot is not None
    [line] = [line for line in plot.panels[0].lines if line.label == "global, nearest-failover"]
    assert line.note == "9 ms" or line.note.endswith("ms")
    assert [y for _, y in line.points][-1] == 0.95  # ten of 200 lie beyond
    assert [x for x, _ in line.points] == sorted(x for x, _ in line.points)


def test_the_regional_endpoint_of_a_distribution_is_the_fastest_one():
    plot = quantile_plots.latency(results.record())
    assert plot is not None
    notes = [line.note for panel in plot.panels for line in panel.lines if line.label == "regional"]
    assert notes == ["9 ms", "9 ms", "9 ms"]


def test_convergence_tells_a_healthy_network_from_one_that_healed():
    record = results.record("revocation-convergence", [results.revoking()])
    [panel] = named(record, "convergence-cdf").panels
    assert [line.label for line in panel.lines] == ["healthy", "after heal"]
    assert "median" in panel.alt


COLUMNS = ["policy", "seed", "action", "region", "began_at_s", "done_at_s", "name"]


def marks(*rows, ordered=()):
    table = {"name": "faults", "columns": COLUMNS, "rows": [["p", 1, *row] for row in rows]}
    return course_plots.faults(results.record(series=[table], parameters={"faults": list(ordered)}), "p")


def test_many_faults_are_marked_without_words():
    assert {mark.label for mark in marks(*(["kill", "r", at, at, ""] for at in range(0, 30, 2)))} == {""}


def test_a_fault_lasts_until_it_is_undone_replaced_or_of_no_amount():
    found = marks(
        ["slow", "a and b", 1.0, 1.0, ""],
        ["partition", "a and c", 2.0, 2.0, "cut"],
        ["partition", "b and c", 2.1, 2.1, ""],
        ["slow", "a and b", 3.0, 3.0, ""],
        ["heal", "", 4.0, 4.0, ""],
        ["pause", "c", 5.0, 5.0, ""],
        ordered=[{"action": "slow", "at_s": 1.0, "ms": 9.0}, {"action": "slow", "at_s": 3.0, "ms": 0.0}],
    )
    assert found == (Mark(1.0, 3.0, "slow a and b"), Mark(2.0, 4.0, "cut"), Mark(5.0, None, "pause c"))


def test_faults_of_one_moment_have_the_words_of_all_as_many_as_can_be_read():
    together = [["kill", "a", 5.0, 5.0, ""], ["slow", "b and c", 5.2, 5.2, "slowness"], ["kill", "a", 5.3, 5.3, ""]]
    assert marks(*together, ["heal", "", 9.0, 9.0, ""]) == (Mark(5.0, 9.0, "kill a, slowness"),)
    herd = [["capacity", place, 0.0, 0.0, f"lowered-in-{place}"] for place in ("virginia", "dublin", "singapore")]
    [mark] = marks(*herd)
    assert mark.label == "lowered-in-virginia, lowered-in-dublin, one other"
    assert len(mark.label) <= course_plots.LABEL_MAX
    long = [["partition", f"ap-southeast-1 and {place}-east-1", 0.0, 0.0, ""] for place in ("us", "sa", "eu")]
    assert marks(*long)[0].label == "partition ap-southeast-1 and us-east-1, two others"


COURSE = ["policy", "seed", "second", "endpoint", "region", "ok", "lost", "p50_ms"]


def test_the_course_tells_the_mean_of_seeds_and_no_median_of_near_and_far_together():
    rows = [["p", seed, second, *where, 6 * seed, 0, 5.0]
            for seed in (1, 2) for second in (0, 1) for where in (("global", ""), ("regional", "r"))]  # fmt: skip
    table = {"name": "course by endpoint", "columns": COURSE, "rows": rows}
    fault = {
        "name": "faults",
        "columns": COLUMNS,
        "rows": [["p", 1, "kill", "r", 0.0, 0.0, ""], ["p", 2, "kill", "r", 0.9, 0.9, ""]],
    }
    parameters = {"load": {"arrivals_per_s": 1, "regional": "all"}, "variants": [{"name": "v"}]}
    record = results.record(series=[table, fault], parameters=parameters)
    [panel] = named(record, "timeline-answered").panels
    assert {line.points for line in panel.lines} == {((0.0, 9.0), (1.0, 9.0))}
    assert [mark.at for mark in panel.marks] == [0.0]
    [panel] = named(record, "timeline-latency").panels
    assert [line.label for line in panel.lines] == ["global"]


def test_a_last_second_that_the_load_does_not_fill_is_no_drop_of_answers():
    rows = [["p", 1, second, "global", "", 20 if second < 3 else 4, 0, 5.0] for second in range(4)]
    table = {"name": "course by endpoint", "columns": COURSE, "rows": rows}
    for duration_s, last in ((3.2, 2.0), (4, 3.0)):
        parameters = {"load": {"arrivals_per_s": 20, "duration_s": duration_s}, "variants": [{"name": "v"}]}
        [panel] = named(results.record(series=[table], parameters=parameters), "timeline-answered").panels
        assert panel.lines[0].points[-1][0] == last


def test_the_last_second_is_drawn_as_wide_as_every_other_and_a_fault_without_words_is_shaded_too():
    lines = (Line("a", ((0.0, 1.0), (1.0, 3.0)), 0), Line("nothing", (), 1))
    panel = Curves("p", "second", "lost", lines, "alt", (Mark(0.5, 1.5, ""), Mark(1.2, None, "")), step=True)
    axes = Figure().add_subplot()
    draw_curves.draw(axes, *aligned([panel]), palette.LIGHT)
    assert [list(axes.lines[0].get_xdata()), list(axes.lines[0].get_ydata())] == [[0, 1, 2], [1, 3, 3]]
    assert len(axes.patches) == 1


def test_convergence_has_its_panels_in_the_order_in_which_they_were_run():
    columns = ["policy", "condition", *(f"p{share}_ms" for share in (10, 25, 50, 75, 90, 99))]
    rows = [[policy, "healthy", *range(1, 7)] for policy in ("b", "a")]
    ran = {"name": "conditions", "columns": ["policy", "seed"], "rows": [["a", 1], ["b", 1]]}
    made = results.record(series=[{"name": "convergence distribution", "columns": columns, "rows": rows}, ran])
    assert [panel.title for panel in named(made, "convergence-cdf").panels] == ["a", "b"]


def test_what_was_measured_more_stands_first():
    made = results.revoking()
    beside = {"load": {"arrivals_per_s": 9}, "revocations": {"per_s": 1}}
    for parameters, first in (({"revocations": {"per_s": 4}}, True), (beside, False)):
        slugs = [
            plot.slug for plot in gallery.plots(results.record("revocation-convergence", [made], parameters=parameters))
        ]
        assert (slugs.index("convergence-cdf") < slugs.index("timeline-lost")) is first


def test_how_old_knowledge_was_stands_first_where_no_request_was_lost():
    ages = [(second / 2, 9.0 if 8 <= second / 2 < 12 else 0.5) for second in range(-4, 40)]
    samples = [Look(at, "eu-west-1", True, "", {"us-east-1": age}, True, 0, 0) for at, age in ages]
    well = [replace(one, outcome="ok") for one in results.exchanges("nearest-failover")]
    for exchanges, first in ((well, True), (results.exchanges("home-2011"), False)):
        made = results.record("asymmetric-partition", [results.run(samples=samples, exchanges=exchanges)])
        plots = gallery.plots(made)
        assert (plots[0].slug == "timeline-staleness") is first
        (panel,) = next(plot for plot in plots if plot.slug == "timeline-staleness").panels
        (line,) = panel.lines
        assert (line.label, line.points[0], max(y for _, y in line.points)) == ("eu-west-1, us-east-1", (0, 0.5), 9)


def test_an_old_result_has_the_plots_that_its_series_allow():
    made = results.found()
    old = [table for table in made["series"] if table["name"] in ("latency", "course", "faults")]
    allowed = {"timeline-lost", "timeline-answered", "blast-radius"}
    assert {plot.slug for plot in gallery.plots(results.record(series=old))} == allowed
    assert all(gallery.SLUG.fullmatch(slug) for slug in allowed)
    assert gallery.plots(results.record(series=[])) == []


def test_series_that_nobody_knows_are_plotted_by_their_columns():
    shares = [f"p{percent}_ms" for percent in (5, 25, 50, 75, 95, 99)]
    unknown = [
        {"name": "queue", "columns": ["policy", "second", "length"], "rows": [["p", 0, 1], ["p", 1, 5]]},
        {"name": "queue in the cut", "columns": ["at_s", "length"], "rows": [[0, 1], [0.5, 0.25]]},
        {"name": "spread cdf", "columns": ["fan_out", "ms", "share"], "rows": [[3, 5, 0.4], [3, 9, 1.0], [8, 7, 1.0]]},
        {"name": "stall", "columns": ["node", *shares], "rows": [["a", 1, 2, 3, 4, 5, None]]},
    ]
    plots = gallery.plots(results.record(series=unknown))
    assert {plot.slug for plot in plots} == {
        "timeline-queue",
        "timeline-queue-in-the-cut",
        "spread-points",
        "stall-cdf",
    }
    assert all(drawing.page_svg(panel, "p") for plot in plots for panel in plot.panels)
    assert all(gallery.SLUG.fullmatch(plot.slug) for plot in plots)
    small = next(plot for plot in plots if plot.slug == "timeline-queue-in-the-cut").panels[0]
    assert (small.x_range, small.y_max) == ((0.0, 0.5), 1)


def test_lines_that_are_means_of_several_seeds_say_so():
    rows = [["p", seed, second, seed * second] for seed in (1, 2, 3) for second in (0, 1)]
    columns = ["policy", "seed", "second", "staleness_s"]
    for kept, said in ((rows, "ach line is the mean of three seeds."), (rows[:2], "")):
        plot = named(
            results.record(series=[{"name": "staleness", "columns": columns, "rows": kept}]), gallery.STALENESS
        )
        assert plot.caption == ("E" + said if said else "")
        assert ("mean of" in plot.panels[0].alt) is bool(said)


@pytest.mark.parametrize("events", [None, []], ids=["blast-radius", "latency-medians"])
def test_a_long_name_of_a_place_leaves_room_for_the_drawing(request, events):
    place = "Frankfurt am Main, behind the old " + "cable " * 20
    given = {} if events is None else {"events": events}
    runs = [
        results.run(
            **given,
            exchanges=[replace(e, location=place, region=e.region and place) for e in results.exchanges("nearest")],
        )
    ]
    [panel] = named(results.record("global-vs-regional", runs), request.node.callspec.id).panels
    assert "Frankfurt am Main" in drawing.page_svg(panel, "p")
    assert place in panel.alt


def test_medians_are_compared_only_without_faults():
    assert latency_plots.medians(results.record()) is None
    quiet = results.record(
        "global-vs-regional", [results.run(policy, events=[]) for policy in ("home-2011", "nearest")]
    )
    plot = latency_plots.medians(quiet)
    assert plot is not None
    assert {line.label for line in plot.panels[0].kinds} == {"regional", "global, home-2011", "global, nearest"}


def test_the_regional_endpoint_is_that_of_the_middle_policy_and_not_of_the_luckiest():
    medians = {"a": (10.0, 12.0, 30.0), "b": (2.0, 20.0, 21.0)}
    asked = [[f"p{at}", "x", "regional", region, 9, 0, ms]
             for region, found in medians.items() for at, ms in enumerate(found)]  # fmt: skip
    asked += [[policy, "x", "global", "", 9, 0, 99.0] for policy in ("p0", "p1", "p2")]
    summary = {"name": "latency", "columns": [*latency_plots.GROUP, "p50_ms"], "rows": asked}
    whole = {
        "name": "latency distribution",
        "columns": ["policy", "location", "endpoint", "region", "p25_ms", "p50_ms"],
        "rows": [[*row[:4], row[-1] / 2, row[-1]] for row in asked],
    }
    record = results.record(series=[summary, whole])
    [dots] = named(record, "latency-medians").panels
    assert next(line.points for line in dots.kinds if line.label == "regional") == ((12.0, 0.0),)
    [curves] = named(record, "latency-cdf").panels
    assert next(line.points for line in curves.lines if line.label == "regional") == ((6.0, 0.25), (12.0, 0.5))


@pytest.mark.parametrize("scheme", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_every_colour_of_text_has_contrast_on_its_paper(scheme):
    words = [name for name in scheme if name not in ("paper", "wash", "rule")]
    for paper in ("paper", "wash"):
        assert {name: palette.contrast(scheme[name], scheme[paper]) for name in words if
                palette.contrast(scheme[name], scheme[paper]) < 4.5} == {}  # fmt: skip


def test_a_drawing_in_a_page_has_its_own_ids_and_the_pages_colours():
    plot = named(results.record(), "timeline-lost")
    first, second = (drawing.page_svg(panel, f"p{at}") for at, panel in enumerate(plot.panels))
    assert drawing.page_svg(plot.panels[0], "p0") == first
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert not re.search(r"#01fe|<metadata|<!--|http://www.w3.org/1999/02", first)
    assert "var(--line-1)" in first
    for target in re.findall(r'(?:url\(|href=")#([^")]+)', first):
        assert target in ids[0]


def test_a_plot_is_drawn_into_files_for_papers_and_slides():
    panel = Curves(results.HOSTILE, "$x", "y", (), results.HOSTILE, (Mark(0, None, results.HOSTILE),))
    files = dict(drawing.files(Plot("odd", results.HOSTILE, "", (panel,))))
    assert files["odd.png"].startswith(b"\x89PNG")
    assert b"<script" not in files["odd.svg"]
    assert files == dict(drawing.files(Plot("odd", results.HOSTILE, "", (panel,))))
    assert "prefers-color-scheme: dark" in drawing.picture(named(results.record(), "blast-radius"))
