"""`docs/results.md`: for each experiment the question, the answer, one picture, and the command to repeat it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.report import words
from cluster.report.published import Line

MADE_BY = "python -m cluster experiment publish"
MARK = f"<!-- made by `{MADE_BY}`"
"""What the page begins with."""
PICTURES = "results"
"""The folder of pictures, beside the page."""
NEEDS: Mapping[str, str] = {
    "home-region-dies": "`haproxy`",
    "engine-swap": "Debian's `nats-server`",
    "rolling-upgrade": "the git history of this repository",
}
"""What experiments on processes need beside the project itself."""


def markdown(lines: Sequence[Line], numbers: Mapping[str, str]) -> str:
    """The page; `numbers` has the number of each experiment that there is."""
    return "\n\n".join([_head(lines, numbers), _overview(lines), *map(_section, lines)]) + "\n"


def picture(name: str) -> str:
    """The path of an experiment's picture from the page."""
    return f"{PICTURES}/{name}.svg"


def _head(lines: Sequence[Line], numbers: Mapping[str, str]) -> str:
    checks = sum(one.checks for one in lines)
    held = sum(one.held for one in lines)
    missing = [name for name in numbers if name not in {one.name for one in lines}]
    shown = words.count(len(lines), "experiment") if not missing else f"{len(lines)} of {len(numbers)} experiments"
    rest = [f"Not shown here: {words.listed([f'{numbers[name]} {name}' for name in missing])}.", ""] if missing else []
    times = sorted(instant for one in lines for instant in one.started_at)
    commits = words.listed([_code(commit) for commit in sorted({commit for one in lines for commit in one.commits})])
    return "\n".join(
        [
            f"{MARK}; do not edit -->",
            "# What the experiments found",
            "",
            f"{shown.capitalize()} on one machine, {words.when(times[0])} to",
            f"{words.when(times[-1])}, commit {commits}: {held} of {checks} checks held. {_kinds(lines)}, distances",
            "between places simulated. Each command repeats its line and writes a `report.html` with every check, its",
            "number and all plots.",
            *_forms(lines),
            _needs(lines),
            "",
            *rest,
            "These at once, and this page from them:",
            "",
            "```sh",
            *_commands(lines, numbers),
            f"{MADE_BY} out/",
            "```",
        ]
    )


def _kinds(lines: Sequence[Line]) -> str:
    """Whether it happened on processes."""
    simulated = [one.simulated for one in lines]
    return (
        "All in virtual time" if all(simulated) else "Some in virtual time" if any(simulated) else "Processes are real"
    )


def _needs(lines: Iterable[Line]) -> str:
    """What has to be there for the commands."""
    more = [
        f"{NEEDS[one.name]} for {one.number or one.name}" for one in lines if one.name in NEEDS and not one.simulated
    ]
    beside = f", and besides {words.listed(more)}" if more else ""
    return f"The commands need the project's `.venv`, active (`. .venv/bin/activate` after `make install`){beside}."


def _forms(lines: Iterable[Line]) -> list[str]:
    """How many ran in the quick form; nothing of results that have no forms."""
    quick = [one.form == "quick" for one in lines if one.form]
    if not any(quick):
        return ["All ran in full form, which leaves nothing out."] if quick else []
    many = "All" if all(quick) else f"{sum(quick)} of {len(quick)}"
    return [f"{many} ran in quick form; what that leaves out is said of each."]


def _commands(lines: Iterable[Line], numbers: Mapping[str, str]) -> Iterator[str]:
    """What runs everything again: one command for all that ran with the same options."""
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    others = []
    for one in lines:
        if one.name in numbers:
            alike[one.options].append(one.name)
        elif one.name in words.OTHER_COMMANDS:
            others.append(words.command_with(one.name, one.options))
    for options, names in alike.items():
        yield words.run_command(["all"] if set(names) == set(numbers) else names, options)
    yield from others


def _overview(lines: Iterable[Line]) -> str:
    rows = [
        f"| [{one.title}](#{one.title.lower().replace(' ', '-')}) | {_cell(one.question)} | {one.form} "
        f"| {one.verdict} | {one.held} of {one.checks} |"
        for one in lines
    ]
    return "\n".join(["| experiment | question | form | verdict | checks held |", "|---|---|---|---|---:|", *rows])


def _section(one: Line) -> str:
    parts = [
        f"## {one.title}",
        f"**{_text(one.question)}** {_text(one.answer)}",
        *_left_out(one),
        f"Measured at {_commits(one)}; again with:",
        f"```sh\n{words.command_with(one.name, one.options)}\n```",
    ]
    if one.picture is not None:
        parts.append(f"![{_text(one.picture)}]({picture(one.name)})")
    return "\n\n".join(parts)


def _commits(one: Line) -> str:
    """The commit it was measured at, or those of which that is one."""
    several = "one of the commits " if len(one.commits) > 1 else "commit "
    return several + words.listed([_code(commit) for commit in one.commits])


def _left_out(one: Line) -> list[str]:
    """What the form that ran says nothing about."""
    if one.form != "quick":
        return ["Full form: nothing is left out."] if one.form else []
    return [f"Quick form: it leaves out {_text(one.leaves_out)}." if one.leaves_out else "Quick form."]


def _text(words_: str) -> str:
    """Text that Markdown must not understand as anything else."""
    for sign in "\\`*_<[]":
        words_ = words_.replace(sign, f"\\{sign}")
    return " ".join(words_.split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', '')}`"
