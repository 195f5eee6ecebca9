"""Generators that wait in virtual time."""

from __future__ import annotations

from cluster.sim.scheduler import Scheduler
from cluster.virtual.tasks import Later, Wait, spawn


def keep_alive(scheduler: Scheduler) -> None:
    scheduler.after(100, lambda: None)


def test_a_sleep_takes_its_time_and_the_result_is_given():
    scheduler = Scheduler(1)
    keep_alive(scheduler)

    def steps():
        yield 1.5
        return scheduler.now

    done = spawn(scheduler, steps())
    scheduler.run(1)
    assert not done.given
    scheduler.run(2)
    assert done.value == 1.5


def test_a_wait_gets_the_value_or_none_when_it_is_late_but_never_both():
    scheduler, later, got = Scheduler(1), Later(), []
    keep_alive(scheduler)

    def wait(timeout_s):
        got.append(((yield Wait(later, timeout_s)), scheduler.now))

    spawn(scheduler, wait(1))
    spawn(scheduler, wait(3))
    scheduler.after(2, lambda: later.give("there"))
    scheduler.after(2.5, lambda: later.give("too late"))
    scheduler.run(10)
    assert got == [(None, 1), ("there", 2)]
    spawn(scheduler, wait(1))
    assert got[-1] == ("there", 10)
