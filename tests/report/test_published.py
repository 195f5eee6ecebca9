"""What is published: some lines are renewed, the others stay letter by letter; a file of another shape is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cluster.__main__ import cluster
from cluster.errors import ClusterError, Refused
from cluster.report import published, results_page
from tests.report import results

DOCS = Path(__file__).parent.parent.parent / "docs"
E1, E2, E3 = "global-vs-regional", "home-region-dies", "brown-out"


def publish(*words: object) -> None:
    done = CliRunner().invoke(cluster, ["experiment", "publish", *map(str, words)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception


def files(docs: Path) -> dict[str, bytes]:
    """Everything that is published."""
    return {str(path.relative_to(docs)): path.read_bytes() for path in docs.rglob("*") if path.is_file()}


def sections(docs: Path) -> dict[str, str]:
    """The part of each experiment on the page, and its row of the table."""
    page = (docs / "results.md").read_text()
    parts = {part.split("\n")[0].split()[-1]: part.rstrip("\n") for part in page.split("\n\n## ")[1:]}
    rows = {row.split("]")[0].split()[-1]: row for row in page.splitlines() if row.startswith("| [")}
    assert parts.keys() == rows.keys()
    return {name: f"{rows[name]}\n{parts[name]}" for name in parts}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("published")
    out = results.write(where / "out", results.found(E1, commit="a" * 40), results.found(E2, commit="b" * 40))
    publish(out, "--docs", where / "docs")
    return where / "docs"


@pytest.fixture
def docs(drawn: Path, tmp_path: Path) -> Path:
    """E1 and E2, published."""
    return shutil.copytree(drawn, tmp_path / "docs")


def test_the_page_of_this_repository_is_made_of_its_lines():
    text = (DOCS / "data" / "results.json").read_text()
    lines = published.parse(text, results.NUMBERS)
    assert published.encoded(lines).decode() == text
    assert results_page.markdown(lines, results.NUMBERS) == (DOCS / "results.md").read_text()
    pictures = {results_page.picture(one.name) for one in lines if one.picture is not None}
    assert pictures == {f"results/{path.name}" for path in (DOCS / "results").iterdir()}


def test_a_renewed_line_takes_the_place_of_its_own_and_of_no_other(docs, tmp_path):
    before, old = sections(docs), files(docs)
    publish(results.write(tmp_path / "new", results.found(E2, answer="Nobody.", commit="c" * 40)), "--docs", docs)
    after = sections(docs)
    assert after[E1] == before[E1]
    assert "Nobody." in after[E2]
    assert files(docs)[f"results/{E1}.svg"] == old[f"results/{E1}.svg"]
    page = (docs / "results.md").read_text()
    assert "commit `aaaaaaaaaaaa` and `cccccccccccc`:" in page
    assert page.count(f"## E2 {E2}") == 1


def test_a_new_line_comes_to_its_number(docs, tmp_path):
    before = sections(docs)
    publish(results.write(tmp_path / "new", results.found(E3)), "--docs", docs)
    after = sections(docs)
    assert list(after) == [E1, E2, E3]
    assert {name: after[name] for name in before} == before
    assert f"3 of {len(results.NUMBERS)} experiments on one machine" in (docs / "results.md").read_text()


def test_without_a_folder_the_page_is_made_again(docs):
    before = files(docs)
    (docs / "results.md").write_text(results_page.MARK + "edited")
    publish("--docs", docs)
    assert files(docs) == before


def test_only_drops_the_others_and_their_pictures(docs, tmp_path):
    publish(results.write(tmp_path / "new", results.found(E3)), "--docs", docs, "--only")
    assert list(sections(docs)) == [E3]
    assert [path.name for path in (docs / "results").iterdir()] == [f"{E3}.svg"]
    with pytest.raises(click.UsageError, match="--only"):
        publish("--docs", docs, "--only")


def test_a_picture_that_its_line_has_no_more_goes(docs, tmp_path):
    publish(results.write(tmp_path / "new", results.found(E2, series=[])), "--docs", docs)
    assert [path.name for path in (docs / "results").iterdir()] == [f"{E1}.svg"]
    assert f"results/{E2}.svg" not in (docs / "results.md").read_text()


@pytest.mark.parametrize("only", [(), ("--only",)], ids=str)
def test_a_picture_that_was_never_published_stays(docs, tmp_path, only):
    (docs / "results" / "photo.svg").write_text("mine")
    publish(results.write(tmp_path / "new", results.found(E3)), "--docs", docs, *only)
    assert (docs / "results" / "photo.svg").read_text() == "mine"


@pytest.mark.parametrize("words", [(), ("--only",)], ids=str)
def test_a_page_that_somebody_wrote_stays(tmp_path, words):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text("# My results\n")
    with pytest.raises(ClusterError, match=r"results\.md: another program or somebody's hand"):
        publish(results.write(tmp_path / "out", results.found(E1)), "--docs", tmp_path / "docs", *words)
    assert files(tmp_path / "docs") == {"results.md": b"# My results\n"}


@pytest.mark.parametrize("place", ["results.md", "data/results.json", f"results/{E1}.svg", "data", "results"])
def test_what_stands_in_the_place_of_a_file_is_told_before_anything_is_written(tmp_path, place):
    docs = tmp_path / "docs"
    (docs / place).parent.mkdir(parents=True)
    (docs / place).mkdir() if "." in place else (docs / place).touch()
    before = sorted(docs.rglob("*"))
    with pytest.raises(ClusterError, match=place):
        publish(results.write(tmp_path / "out", results.found(E1)), "--docs", docs)
    assert sorted(docs.rglob("*")) == before


def test_a_result_that_cannot_be_read_is_told_and_the_others_are_published(docs, tmp_path):
    before = sections(docs)
    damaged = results.found(E1, series=[{"name": "x", "columns": ["p.._ms"], "rows": []}])
    out = results.write(tmp_path / "new", damaged, results.found(E2, answer="Nobody."))
    with pytest.raises(ClusterError, match=f"{E1}/result.json"):
        publish(out, "--docs", docs, "--only")
    assert sections(docs) == before
    with pytest.raises(Refused, match=f"{E1}/result.json"):
        publish(out, "--docs", docs)
    assert sections(docs)[E1] == before[E1]
    assert "Nobody." in sections(docs)[E2]


def test_whole_numbers_that_were_written_with_a_point_are_published_as_whole_ones(tmp_path):
    out = results.write(tmp_path / "out", results.found(E1, started_at=1795825267.0, seed=3.0))
    publish(out, "--docs", tmp_path / "docs")
    publish("--docs", tmp_path / "docs")
    assert "--seed 3 " in (tmp_path / "docs" / "results.md").read_text()


def test_a_kept_line_without_its_picture_is_refused(docs, tmp_path):
    (docs / "results" / f"{E1}.svg").unlink()
    before = files(docs)
    out = results.write(tmp_path / "new", results.found(E2, answer="Nobody."))
    with pytest.raises(ClusterError, match=rf"{E1}\.svg: is not there"):
        publish(out, "--docs", docs)
    assert files(docs) == before
    publish(results.write(out, results.found(E1)), "--docs", docs)
    assert (docs / "results" / f"{E1}.svg").exists()


def test_nothing_published_and_nothing_to_publish_is_refused(tmp_path):
    with pytest.raises(ClusterError, match="nothing is published there"):
        publish("--docs", tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


def test_what_is_kept_is_what_the_page_shows(docs):
    found = json.loads((docs / "data" / "results.json").read_text())
    assert found["schema"] == 1
    assert [one["name"] for one in found["experiments"]] == [E1, E2]
    first = found["experiments"][0]
    assert (first["commits"], first["started_at"]) == (["a" * 12], [1_800_000_000] * 2)
    assert first["options"] == ["--quick", "--seed", "1"]
    assert first["held"] <= first["checks"]
    assert (docs / "data" / "results.json").stat().st_mode & 0o777 == 0o644


def test_lines_survive_their_file():
    hostile = results.HOSTILE + "\n```\n"
    record = results.record(
        question=hostile, answer=hostile, parameters={"form": "quick", "quick_leaves_out": hostile, "backbone": hostile}
    )
    other = replace(record, name="many-regions", number="", topology={"regions": ["a"]})
    lines = [published.line(record, hostile), published.line(other, None)]
    assert published.parse(published.encoded(lines).decode(), results.NUMBERS) == lines


def test_an_experiment_that_is_known_no_more_comes_last_without_a_number():
    text = published.encoded([published.line(results.record(one), None) for one in (E1, E2)]).decode()
    assert [one.title for one in published.parse(text, {E2: "E2"})] == [f"E2 {E2}", E1]


def member(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda found: found["experiments"][0].update({name: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: found.update(schema=2), r"\$\.schema: 1 was expected"),
        (lambda found: found.pop("schema"), r"\$: 'schema' is a required property"),
        (lambda found: found.update(more=1), r"\$: Additional properties"),
        (lambda found: found["experiments"][0].pop("answer"), r"experiments\[0\]: 'answer' is a required property"),
        (lambda found: found["experiments"].append(found["experiments"][0]), f"{E1} is there twice"),
        (member("checks", 0), r"experiments\[0\]: \d+ of 0 checks held"),
        (member("held", 1.5), "1.5 is no whole number"),
        (member("held", float("nan")), "NaN is no whole number"),
        (member("held", -1), r"held: -1 is less than"),
        (member("held", True), "held: True is not of type"),
        (member("name", "../E1"), "name: '../E1' does not match"),
        (member("verdict", "perhaps"), "verdict: 'perhaps' is not one of"),
        (member("options", ["--seed 1\n```"]), r"options\[0\]: .* does not match"),
        (member("commits", []), "commits: "),
        (member("started_at", [1]), "started_at: "),
        (member("picture", {"path": "/"}), "picture: "),
        (member("more", 1), "Additional properties"),
    ],
)
def test_a_file_of_another_shape_is_refused_and_nothing_is_changed(docs, tmp_path, change, reason):
    data = docs / "data" / "results.json"
    found = json.loads(data.read_text())
    change(found)
    data.write_text(json.dumps(found))
    before = files(docs)
    with pytest.raises(ClusterError, match=reason) as refused:
        publish(results.write(tmp_path / "new", results.found(E2, answer="Nobody.")), "--docs", docs)
    assert str(refused.value).startswith(f"{data}: ")
    assert files(docs) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "it is not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "of type"),
        (b"[" * 99_999, "it is not JSON"),
        (b'"\\ud800"', "half a letter"),
    ],
)
def test_a_file_that_is_none_is_refused(docs, content, reason):
    (docs / "data" / "results.json").write_bytes(content)
    before = files(docs)
    with pytest.raises(ClusterError, match=reason):
        publish("--docs", docs)
    assert files(docs) == before
