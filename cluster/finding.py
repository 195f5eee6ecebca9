"""The answer of an experiment in its own words: sentences of its file, filled with what its checks measured. Pure.

`{p99 of latency}` stands for what the check of that name measured: for all policies, places and pairs that it was
judged for, as a range where there are several. `{nearest-failover: p99 of latency (eu-west-1)}`, a verdict's whole name
or its beginning, narrows it; `{lost share %}` shows a share in per cent. A sentence of which a number was not measured
is left out, so that the quick form says less and never something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cluster.checks import Verdict

PLACEHOLDER = re.compile(r"\{([^{}]+?)( %)?\}")
DIGITS = 3
ANYWHERE = "anywhere"


def filled(sentences: Iterable[str], verdicts: Sequence[Verdict]) -> str:
    """The sentences of which every number was measured."""
    return " ".join(said for sentence in sentences if (said := _filled(sentence, verdicts)) is not None)


def _filled(sentence: str, verdicts: Sequence[Verdict]) -> str | None:
    for match in [*places(sentence)]:
        numbers = _numbers(match[1], match[2] is not None, verdicts)
        if numbers is None:
            return None
        sentence = sentence.replace(match[0], numbers)
    return sentence


def places(sentence: str) -> Iterable[re.Match[str]]:
    """Every placeholder: group 1 is the name, group 2 is there for per cent."""
    return PLACEHOLDER.finditer(sentence)


def unknown(sentences: Iterable[str], verdicts: Sequence[str]) -> list[str]:
    """The names in placeholders that mean none of `verdicts`, in whose names ANYWHERE stands for any place."""
    names = dict.fromkeys(match[1] for sentence in sentences for match in places(sentence))
    return [name for name in names if not any(_is(one, verdict) for one in _forms(name) for verdict in verdicts)]


def _forms(name: str) -> tuple[str, str]:
    return name, re.sub(r"\([^()]*\)$", f"({ANYWHERE})", name)


def torn(sentences: Iterable[str]) -> list[str]:
    """The sentences with a brace that belongs to no placeholder."""
    return [sentence for sentence in sentences if {*"{}"} & {*PLACEHOLDER.sub("", sentence)}]


def _numbers(name: str, per_cent: bool, verdicts: Sequence[Verdict]) -> str | None:
    measured = [verdict.measured for verdict in verdicts if _is(name, verdict.name)]
    known = sorted({number(value, per_cent) for value in measured if value is not None}, key=_value)
    if not known or None in measured:
        return None
    return known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _is(name: str, verdict: str) -> bool:
    """Whether a placeholder means this verdict, with or without its policy and its place."""
    subjectless = verdict.partition(" (")[0]
    return name in (verdict, subjectless, verdict.partition(": ")[2], subjectless.partition(": ")[2])


def number(value: float, per_cent: bool = False) -> str:
    """A measured value for people, with three digits that count."""
    if per_cent:
        return f"{value * 100:.{DIGITS}g} %"
    rounded = float(f"{value:.{DIGITS}g}")
    return f"{rounded:,.0f}" if rounded == int(rounded) else f"{rounded:g}"


def _value(shown: str) -> float:
    return float(shown.removesuffix(" %").replace(",", ""))
