from __future__ import annotations

from cluster.nemesis.checker import Violation
from cluster.nemesis.history import Fault, History, Operation
from cluster.nemesis.report import Totals, line

REVOKED = Operation("revoke", 1, "east", 1.0, 1.1, "ok", "access_key", "KEY", entry=("east/1/a", 1), copies=2)
UNKNOWN = Operation("revoke", 1, "east", 2.0, 4.0, "info", "access_key", "KEY")
HISTORY = History(
    ("east", "west"), {}, (REVOKED, UNKNOWN), (Fault("kill", ("east",), 1.0, 2.0),), {}, {}, 0.25, seed=7
)  # fmt: skip


def totals_of(*violations: Violation) -> Totals:
    totals = Totals()
    totals.add(HISTORY, violations, "again")
    return totals


def test_totals_count_what_happened():
    told = totals_of().told(seed=7)
    assert (told["histories"], told["seconds"]) == (1, 4.0)
    assert told["faults"] == {"kill": 1}
    assert told["operations"] == {"revoke": {"info": 1, "ok": 1}}
    assert (told["acknowledged"], told["copies"]) == (1, {"2": 1})
    assert told["agreed_after_s"] == {"p50": 0.25, "max": 0.25}
    assert (told["lost"], told["unsafe"], told["resurrected"], told["false_denials"]) == (0, 0, 0, 0)


def test_a_violation_is_counted_by_its_name_and_says_how_to_see_it_again():
    totals = totals_of(*(Violation(number, "text") for number in (1, 4, 6, 6, 7)))
    told = totals.told()
    assert (told["lost"], told["unsafe"], told["resurrected"], told["false_denials"]) == (1, 1, 2, 1)
    assert told["broken"][0] == {"invariant": 1, "seed": 7, "text": "text", "replay": "again"}
    assert not totals.sound


def test_only_a_run_with_histories_and_nothing_wrong_is_sound():
    assert totals_of().sound
    assert not Totals().sound
    aborted = totals_of()
    aborted.aborted = "seed 8: did not start"
    assert not aborted.sound


def test_a_history_in_a_line():
    assert line(HISTORY, []) == "seed 7: 1 kill; 1 revocations, 0 answers: every invariant holds"
    assert line(HISTORY, [Violation(1, "x")]).endswith("1 VIOLATIONS")
