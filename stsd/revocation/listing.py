"""Which entries of a log are listed: some kinds show nowhere, so what is told and counted passes them over.

What an entry means is not known here; a function of the entry tells. Each entry is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stsd.revocation.log import Log


def always(entry: bytes) -> bool:
    """Every entry is listed."""
    return True


class Listed(NamedTuple):
    """Of one log up to its head: the sequence of the last listed entry, and how many `entries` are listed. What was
    pruned before it was looked at counts as listed, since nobody can tell any more."""

    last: int = 0
    entries: int = 0


class Listing:
    """Of one log."""

    def __init__(self, log: Log, is_listed: Callable[[bytes], bool]) -> None:
        self._log, self._is_listed = log, is_listed
        self._looked_at = self._unlisted = 0
        self._listed = Listed()

    def listed(self) -> Listed:
        """As of now."""
        if self._log.head < self._looked_at:  # its origin left, and what it had said beyond its limit is gone
            self._looked_at, self._unlisted, self._listed = 0, 0, Listed()
        for batch in self._log.after(self._looked_at):
            self._pass_to(batch.first - 1)
            for sequence, entry in enumerate(batch.entries, batch.first):
                self._look(sequence, listed=self._is_listed(entry))
        self._pass_to(self._log.head)
        return self._listed

    def _pass_to(self, sequence: int) -> None:
        """Nothing is left from where we are up to here."""
        if sequence > self._looked_at:
            self._look(sequence, listed=True)

    def _look(self, sequence: int, *, listed: bool) -> None:
        self._looked_at = sequence
        if listed:
            self._listed = Listed(sequence, sequence - self._unlisted)
        else:
            self._unlisted += 1
