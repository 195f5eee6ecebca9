"""`docs/results.md`: for each experiment the question, the answer, one picture, and the command to repeat it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
    kinds, command = _repeated(records, [] if missing else ["all"], numbers)
    times = sorted(record.started_at for record in records)
    commits = words.listed([_code(commit[:12]) for commit in sorted({record.commit for record in records})])
    return "\n".join(
        [
            f"<!-- made by `{MADE_BY}`; do not edit -->",
            "# What the experiments found",
            "",
            f"{shown.capitalize()} on one machine, {words.when(times[0])} to",
            f"{words.when(times[-1])}, commit {commits}: {held} of {checks} checks held. {kinds}, distances",
            "between places simulated. Each command repeats its line and writes a `report.html` with every check, its",
            "number and all plots.",
            "",
            *rest,
            "These at once, and this page from them:",
            "",
            "```sh",
            command,
            f"{MADE_BY} out/",
            "```",
        ]
    )


def _repeated(records: Sequence[Record], every: Sequence[str], numbers: Mapping[str, str]) -> tuple[str, str]:
    """What ran, in words, and the command that runs it again."""
    ran = [*every] or [record.name for record in records if record.name in numbers]
    ran += ["--quick"] if all(one.quick for one in records) else []
    simulated = [bool(one.parameters.get("simulated")) for one in records]
    ran += ["--simulate"] if all(simulated) else []
    kinds = (
        "All in virtual time" if all(simulated) else "Some in virtual time" if any(simulated) else "Processes are real"
    )
    return kinds, f"python -m cluster experiment run {' '.join(ran)} --out out/"


def _overview(records: Iterable[Record]) -> str:
    rows = [
        f"| [{one.title}](#{one.title.lower().replace(' ', '-')}) | {_cell(one.question)} | {one.verdict} "
        f"| {one.held} of {len(one.checks)} |"
        for one in records
    ]
    return "\n".join(["| experiment | question | verdict | checks held |", "|---|---|---|---:|", *rows])


def _section(record: Record, picture: tuple[str, str] | None) -> str:
    parts = [
        f"## {record.title}",
        f"**{_text(record.question)}** {_text(record.answer)}",
        f"```sh\n{' '.join(words.command(record).split())}\n```",
    ]
    if picture is not None:
        parts.append(f"![{_text(picture[1])}]({picture[0]})")
    return "\n\n".join(parts)


def _text(words_: str) -> str:
    """Text that Markdown must not understand as anything else."""
    for sign in "\\`*_<[]":
        words_ = words_.replace(sign, f"\\{sign}")
    return " ".join(words_.split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', '')}`"
