"""Colours by what they mean, for light and dark. Pure.

A picture is drawn in marks, colours that nobody would choose, and each mark becomes a CSS variable in the page, or one
of the two schemes in a file. The lines of a plot can be told apart without colour, too: each has a dash of its own.
Lines come from the Okabe-Ito palette (safe for the common kinds of colour blindness), darkened or lightened until they
have a contrast of 4.5 to their paper, because their labels have their colour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "wash": "#f4f6f8",
    "ink": "#16202b",
    "muted": "#55616e",
    "rule": "#d9dfe5",
    "line-1": "#0063a0",
    "line-2": "#b24400",
    "line-3": "#00704f",
    "line-4": "#96408f",
    "line-5": "#7a5b00",
    "line-6": "#4d5864",
    "good": "#00664a",
    "bad": "#a83a00",
    "unsure": "#6f5200",
    "lost": "#b24400",
    "fault": "#5b5470",
}
DARK: Mapping[str, str] = {
    "paper": "#12161b",
    "wash": "#1b2128",
    "ink": "#e8edf2",
    "muted": "#a5b0bc",
    "rule": "#343d47",
    "line-1": "#6db8f5",
    "line-2": "#ff9a5c",
    "line-3": "#45cfa2",
    "line-4": "#e79ade",
    "line-5": "#e0c14a",
    "line-6": "#b3bdc8",
    "good": "#45cfa2",
    "bad": "#ff9a5c",
    "unsure": "#e0c14a",
    "lost": "#ff9a5c",
    "fault": "#a9a3bd",
}
MARKS: Mapping[str, str] = {name: f"#01fe{index:02x}" for index, name in enumerate(LIGHT)}
_NAMES = {mark: name for name, mark in MARKS.items()}
_MARK = re.compile(r"#01fe[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Stroke:
    """How one line of a plot looks."""

    color: str
    dash: tuple[float, ...]
    """Lengths of dashes and gaps in widths of the line; empty for an unbroken one."""


DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (2.5, 2.5), (8, 2))


def stroke(index: int) -> Stroke:
    """The stroke of a plot's line number `index`; after six they begin again."""
    return Stroke(f"line-{index % 6 + 1}", DASHES[index % 6])


def variables(svg: str) -> str:
    """A drawing in marks as one in CSS variables."""
    return _MARK.sub(lambda match: f"var(--{_NAMES[match[0]]})", svg)


def declarations(scheme: Mapping[str, str]) -> str:
    """The CSS variables of a scheme."""
    return " ".join(f"--{name}: {color};" for name, color in scheme.items())


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2.2, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    channels = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
