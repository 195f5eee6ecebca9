"""The report as a real browser shows it: light and dark, on a wide and a narrow screen."""

from __future__ import annotations

import pytest

from cluster.report.page import page
from tests import browser
from tests.report import results

CONTRAST_MIN = 4.5
LOOK = """(() => {
  const rgb = text => { const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number); return [r, g, b, a]; };
  const light = ([r, g, b]) => {
    const c = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const paper = node => { for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor;
    if (color.startsWith("rgb") && rgb(color)[3] === 1) return rgb(color); } return [255, 255, 255]; };
  const pale = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, box = node.getBoundingClientRect();
    if (!walker.currentNode.data.trim() || !box.width || box.right < 0) continue;
    const look = getComputedStyle(node), color = node.closest("svg") ? look.fill : look.color;
    const [a, b] = [light(rgb(color)), light(paper(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < MIN) pale.push(`${walker.currentNode.data.trim()}: ${color} on ${paper(node)}`);
  }
  const past = (box, frame) => box.right > frame.right + 2 || box.left < frame.left - 2 || box.top < frame.top - 2;
  const texts = svg => [...svg.querySelectorAll("text")];
  const svgs = [...document.querySelectorAll("figure svg")];
  return {
    pale,
    overflow: document.documentElement.scrollWidth - innerWidth,
    empty: svgs.filter(svg => { const box = svg.getBoundingClientRect();
      return box.width < 200 || box.height < 60 || !svg.querySelector("path"); }).length,
    outside: svgs.flatMap(svg => texts(svg)
      .filter(text => past(text.getBoundingClientRect(), svg.getBoundingClientRect())).map(text => text.textContent)),
    drawings: svgs.length,
    unnamed: [...document.querySelectorAll("figure [role=img]")].filter(n => !n.getAttribute("aria-label")).length,
    type: Math.min(...svgs.flatMap(texts).map(text => text.getBoundingClientRect().height)),
    paper: getComputedStyle(document.body).backgroundColor,
  };
})()""".replace("MIN", str(CONTRAST_MIN))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    quiet = [
        results.run(policy, events=[], exchanges=results.exchanges(policy, 99, 99))
        for policy in ("home-2011", "nearest")
    ]
    records = [
        results.record("global-vs-regional", quiet),
        results.record(),
        results.record("revocation-convergence", [results.revoking()]),
        results.record("kill-during-revocation", [], broken="stopped before its end"),
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(records, ["out/x/result.json: it is not JSON"]), encoding="utf-8")
    return path


@pytest.mark.processes
async def test_the_report_looks_right_in_light_and_dark_on_wide_and_narrow_screens(report, tmp_path):
    papers = set()
    async with browser.page(tmp_path / "profile") as tab:
        for width, dark in ((1400, False), (1400, True), (390, False), (390, True)):
            await tab.open(report.as_uri(), width=width, dark=dark)
            await tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            look = await tab.evaluate(LOOK)
            assert look["pale"] == []
            assert look["overflow"] <= 0
            assert (look["empty"], look["unnamed"], look["outside"]) == (0, 0, [])
            assert look["drawings"] >= 8
            assert look["type"] >= 9
            papers.add(look["paper"])
        assert tab.complaints == []
        assert set(tab.requested) == {report.as_uri()}
    assert len(papers) == 2
