"""Ctrl-C while an experiment runs: it ends what goes on, once, and what was measured is written all the same. (I/O)

Rules: the first SIGINT, SIGTERM or SIGHUP (the terminal is closed) stops the load and the cluster, each within its own
time-out. Those that come after it change nothing: a second Ctrl-C while all is being stopped would leave processes and
keys behind.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals of one command. `came` says whether there was one."""

    def __init__(self) -> None:
        self.came = False
        self._stop: Callable[[], object] | None = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """While the body runs signals are noted, and end nothing but a body of `ending`. One that is ignored, as behind
        `nohup`, stays so."""
        heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def ending(self, stop: Callable[[], object]) -> Iterator[None]:
        """The first signal calls `stop`, which ends the body; one that came before calls it at once."""
        self._stop = stop
        try:
            if self.came:
                self._call()
            yield
        finally:
            self._stop = None

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Around what is told to a terminal: where a signal came it may be gone, and then nobody is told."""
        try:
            yield
        except OSError:
            if not self.came:
                raise

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._call()

    def _call(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()


def interrupt() -> None:
    """Ends a body that waits for nothing. Raises KeyboardInterrupt."""
    raise KeyboardInterrupt
