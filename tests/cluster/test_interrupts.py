from __future__ import annotations

import contextlib
import os
import signal

import pytest
from rich import progress

from cluster import experiment_console
from cluster.interrupts import STOPPING, Interrupts, interrupt


def send(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_ends_the_body_and_the_next_ones_change_nothing(number):
    interrupts, stopped = Interrupts(), []
    with interrupts.kept(), interrupts.ending(lambda: stopped.append(number)):
        assert not interrupts.came
        send(number)
        send(number)
        send(signal.SIGINT)
    assert stopped == [number]
    assert interrupts.came


def test_a_signal_outside_such_a_body_is_noted_and_ends_the_next_one():
    interrupts, stopped = Interrupts(), []
    with interrupts.kept():
        send()
        assert interrupts.came
        with interrupts.ending(lambda: stopped.append(1)):
            assert stopped == [1]
        send()
    assert stopped == [1]


def test_what_computes_is_interrupted_where_it_is_and_what_follows_is_not():
    interrupts, written = Interrupts(), False
    with interrupts.kept():
        with pytest.raises(KeyboardInterrupt), interrupts.ending(interrupt):
            send()
        send()
        written = True
    assert written


def test_afterwards_signals_mean_what_they_meant_before():
    before = [signal.getsignal(number) for number in STOPPING]
    with Interrupts().kept():
        assert [signal.getsignal(number) for number in STOPPING] != before
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_a_signal_that_was_ignored_stays_ignored():
    interrupts, before = Interrupts(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.kept():
            send(signal.SIGHUP)
            assert not interrupts.came
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("came", [False, True])
def test_a_terminal_that_is_gone_hides_only_what_would_have_been_told_after_a_signal(came):
    interrupts = Interrupts()
    interrupts.came = came
    with contextlib.nullcontext() if came else pytest.raises(OSError, match="gone"), interrupts.telling():
        raise OSError("gone")


def test_a_progress_bar_on_a_terminal_that_is_gone_loses_nothing(monkeypatch):
    def gone(*_):
        raise OSError("gone")

    monkeypatch.setattr(progress.Progress, "stop", gone)
    with experiment_console.progress_bar(experiment_console.load_all()["brown-out"]) as tell:
        tell(1.0, "it")
