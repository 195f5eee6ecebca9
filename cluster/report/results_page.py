"""`docs/results.md`: for each experiment the question, the answer, one picture, and the command to repeat it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.report import words
from cluster.report.record import Record

MADE_BY = "python -m cluster experiment publish"


def markdown(records: Sequence[Record], pictures: Mapping[str, tuple[str, str]], numbers: Mapping[str, str]) -> str:
    """The page. `pictures` has, by an experiment's name, the path of its picture and what it shows; `numbers` the
    number of each experiment that there is."""
    sections = (_section(one, pictures.get(one.name)) for one in records)
    return "\n\n".join([_head(records, numbers), _overview(records), *sections]) + "\n"


def _head(records: Sequence[Record], numbers: Mapping[str, str]) -> str:
    checks = sum(len(record.checks) for record in records)
    held = sum(record.held for record in records)
    missing = [name for name in numbers if name not in {record.name for record in records}]
    shown = words.count(len(records), "experiment") if not missing else f"{len(records)} of {len(numbers)} experiments"
    rest = [f"Not shown here: {words.listed([f'{numbers[name]} {name}' for name in missing])}.", ""] if missing else []
    times = sorted(record.started_at for record in records)
    commits = words.listed([_code(commit[:12]) for commit in sorted({record.commit for record in records})])
    return "\n".join(
        [
            f"<!-- made by `{MADE_BY}`; do not edit -->",
            "# What the experiments found",
            "",
            f"{shown.capitalize()} on one machine, {words.when(times[0])} to",
            f"{words.when(times[-1])}, commit {commits}: {held} of {checks} checks held. {_kinds(records)}, distances",
            "between places simulated. Each command repeats its line and writes a `report.html` with every check, its",
            "number and all plots.",
            *_forms(records),
            "",
            *rest,
            "These at once, and this page from them:",
            "",
            "```sh",
            *_commands(records, numbers),
            f"{MADE_BY} out/",
            "```",
        ]
    )


def _kinds(records: Sequence[Record]) -> str:
    """Whether it happened on processes."""
    simulated = [bool(one.parameters.get("simulated")) for one in records]
    return (
        "All in virtual time" if all(simulated) else "Some in virtual time" if any(simulated) else "Processes are real"
    )


def _forms(records: Iterable[Record]) -> list[str]:
    """How many ran in the quick form; nothing of results that have no forms."""
    quick = [one.quick for one in records if _form(one)]
    if not any(quick):
        return ["All ran in full form, which leaves nothing out."] if quick else []
    many = "All" if all(quick) else f"{sum(quick)} of {len(quick)}"
    return [f"{many} ran in quick form; what that leaves out is said of each."]


def _form(record: Record) -> str:
    """`quick` or `full`; empty for a result that has no forms."""
    return "quick" if record.quick else "full" if record.parameters.get("form") == "full" else ""


def _commands(records: Iterable[Record], numbers: Mapping[str, str]) -> Iterator[str]:
    """What runs everything again: one command for all that ran with the same options."""
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    others = []
    for one in records:
        if one.name in numbers:
            alike[words.options(one)].append(one.name)
        elif one.name in words.OTHER_COMMANDS:
            others.append(words.command(one))
    for options, names in alike.items():
        yield words.run_command(["all"] if set(names) == set(numbers) else names, options)
    yield from others


def _overview(records: Iterable[Record]) -> str:
    rows = [
        f"| [{one.title}](#{one.title.lower().replace(' ', '-')}) | {_cell(one.question)} | {_form(one)} "
        f"| {one.verdict} | {one.held} of {len(one.checks)} |"
        for one in records
    ]
    return "\n".join(["| experiment | question | form | verdict | checks held |", "|---|---|---|---|---:|", *rows])


def _section(record: Record, picture: tuple[str, str] | None) -> str:
    parts = [
        f"## {record.title}",
        f"**{_text(record.question)}** {_text(record.answer)}",
        *_left_out(record),
        f"```sh\n{' '.join(words.command(record).split())}\n```",
    ]
    if picture is not None:
        parts.append(f"![{_text(picture[1])}]({picture[0]})")
    return "\n\n".join(parts)


def _left_out(record: Record) -> list[str]:
    """What the form that ran says nothing about."""
    if not record.quick:
        return ["Full form: nothing is left out."] if _form(record) else []
    leaves_out = record.parameters.get("quick_leaves_out")
    return [f"Quick form: it leaves out {_text(str(leaves_out))}." if leaves_out else "Quick form."]


def _text(words_: str) -> str:
    """Text that Markdown must not understand as anything else."""
    for sign in "\\`*_<[]":
        words_ = words_.replace(sign, f"\\{sign}")
    return " ".join(words_.split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', '')}`"
