"""What is wrong with a world file: one line per fault, its place first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]

_FIELD = re.compile(r"\w+", re.ASCII)
_SHOWN_CHARACTERS = 80
_SECRET_FIELDS = frozenset({"SecretAccessKey", "Base32StringSeed"})


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` leads to the faulty value, or is empty for the whole file; `line` counts from 1 for faults of syntax."""

    path: Path
    message: str
    line: int = 0

    @property
    def place(self) -> str:
        """The path as text, `Accounts[0].Roles[1].MaxSessionDuration`; `line 7` for a fault of syntax."""
        if self.path:
            return "".join(map(_step, self.path)).removeprefix(".")
        return f"line {self.line}" if self.line else "world"

    def __str__(self) -> str:
        return _one_line(f"{self.place}: {self.message}")


class WorldError(ValueError):
    """A world that cannot be used. Its text has one line per fault, sorted by place, and never a secret."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(in_order(faults))
        super().__init__("\n".join(map(str, self.faults)))


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Sorted by place, items of a list by their index; each fault once."""
    return sorted(set(faults), key=lambda fault: (fault.line, [_rank(step) for step in fault.path], fault.message))


def shown(value: object, path: Path) -> str:
    """A value as it may stand in a message: as JSON, shortened; a secret never."""
    if _SECRET_FIELDS.intersection(map(str, path)):
        return "the value"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut) if isinstance(value, str) else cut


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _FIELD.fullmatch(step) else f"[{json.dumps(step[:_SHOWN_CHARACTERS], ensure_ascii=False)}]"


def _rank(step: str | int) -> tuple[int, str]:
    return (step, "") if isinstance(step, int) else (-1, step)


def _one_line(text: str) -> str:
    """The text with what would break or hide a line written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
