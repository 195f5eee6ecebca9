"""What is required of cut-offs while a clock is wrong, over rounds that are made up; and whom a round cuts off."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from cluster.checks import Check, judge
from cluster.cutoff_records import ACROSS, Cutoff, Declined, Made
from cluster.cutoff_subjects import Clock, Subjects
from cluster.experiment_console import load_all
from cluster.history import Event, Run
from cluster.report.words import _cutoffs
from cluster.result import parameters, series
from loadtest.places import Key, RoleProfile
from tests.cluster.histories import TABLE

REGIONS = ("virginia", "dublin")
ACCEPTED, REVOKED = dict.fromkeys(REGIONS, "active"), dict.fromkeys(REGIONS, "revoked")
FAST = Event("clock-offset", "dublin", 10.0, 10.1, "5 s fast")
RIGHT = Event("clock-offset", "dublin", 20.0, 20.1, "right again")


def made(sent_at: float, asked: dict[str, str], region: str = "dublin", **members: Any) -> Made:
    return replace(Made(region, sent_at, sent_at + 0.01, asked), **members)


def cut_off(at: float, *, escaped: tuple[str, ...] = (), refused_at: tuple[float, ...] = ()) -> Cutoff:
    """Virginia's round that begins then: its cut-off is acknowledged 0.2 s later, sessions follow 1 and 5 s after that.
    `escaped` regions accept Dublin's session of before; Dublin's sessions of `refused_at` are refused in Virginia."""
    before = [made(at, REVOKED, region, in_the_end=REVOKED) for region in REGIONS]
    before[1] = replace(before[1], asked=REVOKED | dict.fromkeys(escaped, "active"))
    after = [made(at + 0.2 + s, ACCEPTED, region) for s in (1, 5) for region in REGIONS]
    for index, s in ((1, 1), (3, 5)):
        if s in refused_at:
            after[index] = replace(after[index], asked=ACCEPTED | {"virginia": "revoked"})
    return Cutoff("virginia", "session", REGIONS, 2, at, at + 0.1, at + 0.2, at + 5.3, before, after)


def run_of(*cutoffs: Cutoff, events: tuple[Event, ...] = (FAST, RIGHT)) -> Run:
    return Run("home-2011", 1, (), events, cutoffs=cutoffs)


def measured(run: Run, kind: str, **members: Any) -> float | None:
    check = Check.of({"kind": kind, "name": "n", "policies": ["home-2011"], "at_most": 0, **members})
    [verdict] = judge([check], [run], TABLE)
    return verdict.measured


def test_a_session_of_before_that_any_region_accepts_has_escaped():
    assert measured(run_of(cut_off(1)), "escapes") == 0
    assert measured(run_of(cut_off(1), cut_off(2, escaped=("virginia",))), "escapes") == 1


def test_one_that_becomes_valid_and_is_accepted_in_the_end_has_escaped_too():
    one = cut_off(1)
    early = made(1, dict.fromkeys(REGIONS, "not_yet_valid"), in_the_end=REVOKED | {"dublin": "active"})
    assert measured(run_of(replace(one, before=[one.before[0], early])), "escapes") == 1


def test_one_that_was_there_only_after_the_cut_off_was_sent_has_not():
    one = cut_off(1, escaped=("virginia",))
    late = replace(one.before[1], made_at=one.sent_at + 0.001)
    assert measured(run_of(replace(one, before=[one.before[0], late])), "escapes") == 0


def test_only_what_is_asked_for_later_than_twice_the_allowance_is_denied_without_need():
    assert measured(run_of(cut_off(1, refused_at=(1,))), "false_denials") == 0
    assert measured(run_of(cut_off(1, refused_at=(1, 5))), "false_denials") == 1
    soon = cut_off(1)
    assert measured(run_of(replace(soon, moments=1, after=soon.after[:2])), "false_denials") is None


def test_the_limit_itself_is_not_beyond_it():
    one = cut_off(0, refused_at=(5,))
    for after_s, denied in ((4.0, 0), (4.001, 1)):
        moved = [*one.after[:3], replace(one.after[3], sent_at=0.2 + after_s)]
        assert measured(run_of(replace(one, acked_at=0.2, after=moved)), "false_denials") == denied


def test_how_long_new_sessions_are_refused_counts_from_the_answer_to_the_cut_off():
    assert measured(run_of(cut_off(1)), "refused_until_s") == 0
    assert measured(run_of(cut_off(1, refused_at=(1,))), "refused_until_s") == pytest.approx(1)
    assert measured(run_of(), "refused_until_s") is None


def test_a_round_counts_where_all_of_it_lies_and_nowhere_when_the_clock_was_moved_meanwhile():
    run = run_of(*(cut_off(at, escaped=("virginia",)) for at in (1, 8, 11, 12, 18, 19, 25)))
    assert measured(run, "escapes") == 4
    assert measured(run, "escapes", until="5 s fast") == 1
    assert measured(run, "escapes", since="5 s fast", until="right again") == 2
    assert measured(run, "escapes", since="right again") == 1
    assert measured(run, "escapes", since="noon") is None
    assert measured(run_of(cut_off(8)), "escapes") is None


def test_other_faults_move_no_clock():
    cut = Event("partition", "virginia and dublin", 9.0, 9.1, "cut")
    assert measured(run_of(cut_off(8), events=(cut,)), "escapes") == 0


def test_sessions_of_a_wrong_clock_count_from_two_heartbeats_on():
    run = run_of(cut_off(5), cut_off(11), cut_off(19))
    # Of 11 they are made at 11 (too soon to count), 12.2 and 16.2; of 19 at 19, and then the clock is right.
    assert measured(run, "issued_beyond", region="dublin", since="5 s fast", until="right again") == 3
    assert measured(run_of(cut_off(5)), "issued_beyond", region="dublin", since="5 s fast") is None


def declining(one: Cutoff) -> Cutoff:
    """The round when Dublin gives no sessions at all."""
    others = [made for made in one.after if made.region != "dublin"]
    declined = [Declined("dublin", one.began_at, before=True)]
    declined += [Declined("dublin", made.sent_at, before=False) for made in others]
    return replace(one, before=one.before[:1], after=others, declined=declined)


def test_a_round_in_which_a_region_declines_is_whole_if_every_session_was_answered():
    one = declining(cut_off(13))
    assert one.whole
    assert not replace(one, declined=one.declined[:2]).whole
    assert not replace(one, declined=[*one.declined[:2], Declined("dublin", 13, before=True)]).whole
    assert measured(run_of(one), "issued_beyond", region="dublin", since="5 s fast", until="right again") == 0


def test_who_declines_with_a_right_clock_is_counted_two_heartbeats_after_it_was_set_right():
    members = {"region": "dublin", "since": "right again"}
    # Sessions are asked for when a round begins, and 1.2 s and 5.2 s later.
    assert measured(run_of(declining(cut_off(11)), cut_off(23)), "declined_within", **members) == 0
    assert measured(run_of(declining(cut_off(20.5)), cut_off(23)), "declined_within", **members) == 1
    assert measured(run_of(declining(cut_off(23))), "declined_within", **members) == 3
    other = replace(cut_off(11), declined=[Declined("virginia", 11, before=True)])
    assert measured(run_of(other, cut_off(23)), "declined_within", **members) == 1
    assert measured(run_of(declining(cut_off(11))), "declined_within", **members) is None


@pytest.mark.parametrize(
    "broken",
    [
        lambda one: replace(one, acked_at=None),
        lambda one: replace(one, before=one.before[:1]),
        lambda one: replace(one, after=one.after[:3]),
        lambda one: replace(one, after=[*one.after[:3], replace(one.after[3], asked={"dublin": "active"})]),
        lambda one: replace(one, before=[one.before[0], replace(one.before[1], in_the_end={})]),
    ],
)
def test_a_round_that_is_not_whole_is_counted_and_judges_nothing(broken):
    run = run_of(broken(cut_off(1, escaped=("dublin",))))
    assert measured(run, "cutoffs_undone") == 1
    assert measured(run, "escapes") is None
    assert measured(run_of(cut_off(1)), "cutoffs_undone") == 0
    assert measured(run_of(), "cutoffs_undone") is None


def test_the_series_tells_each_position_of_the_clock_in_order_and_why_sessions_were_refused():
    early = cut_off(25)
    early = replace(early, after=[replace(one, asked=ACCEPTED | {"virginia": "not_yet_valid"}) for one in early.after])
    run = run_of(early, cut_off(11, escaped=("virginia",), refused_at=(1, 5)), cut_off(8), cut_off(1))
    [table] = [one for one in series([run]) if one["name"] == "cut-offs"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"] if row[4] == "dublin"]
    assert [row["clock"] for row in rows] == ["begin", "5 s fast", "right again", ACROSS]
    told = ("escapes", "soon_refused", "later_refused", "not_yet_valid", "refused_until_s")
    assert [rows[1][column] for column in told] == [1, 1, 1, 0, 5.0]
    assert [rows[2][column] for column in told] == [0, 1, 1, 2, 5.0]
    assert [rows[0][column] for column in told] == [0, 0, 0, 0, None]
    assert not [one for one in series([run_of()]) if one["name"].startswith("cut-offs")]


def test_what_was_cut_off_is_told_apart():
    role = replace(cut_off(2, escaped=("virginia",), refused_at=(5,)), kind="role")
    [table] = [one for one in series([run_of(cut_off(1), cut_off(1.5), role)]) if one["name"] == "cut-offs by subject"]
    assert [row[2:] for row in table["rows"]] == [["begin", "role", 1, 2, 1, 2, 1], ["begin", "session", 2, 4, 0, 4, 0]]


# -- whom a round cuts off --------------------------------------------------------------------------------------------

ROLES = [RoleProfile(f"arn:aws:iam::111122223333:role/{name}", "", Key("AKIA", "s")) for name in ("deploy", "on-call")]
USER = Key("AKIAUSER", "s")


def token(**claims: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


RIGHT_CLOCK = Clock([])


def test_most_rounds_cut_off_a_session_arn_that_no_other_round_has():
    subjects = Subjects(ROLES, [USER], RIGHT_CLOCK, 100)
    bodies = [subjects.next(number, float(number)).body for number in range(20)]
    assert len(set(bodies)) == 18 + 2
    arn = "arn:aws:sts::111122223333:assumed-role/deploy/round-1"
    assert subjects.next(1, 0).cut_off(token(sub=arn, role=ROLES[0].role_arn)) == {"session_arn": arn}


def test_a_role_or_a_user_is_cut_off_again_only_when_nothing_earlier_reaches_it():
    subjects = Subjects(ROLES, [USER], RIGHT_CLOCK, 6)
    kinds = [subjects.next(number, at).kind for number, at in ((0, 0), (5, 5), (10, 8), (15, 8.1), (20, 13.1))]
    assert kinds == ["principal", "role", "session", "principal", "role"]


def test_a_fast_clock_cuts_off_what_comes_later_and_a_slow_one_issues_what_was_cut_off_before():
    clock = Clock([(10, 60), (20, 0), (100, -60), (200, 0)])
    subjects = Subjects(ROLES[:1], [USER], clock, 6)
    # The round of 4 lasts until the clock is fast, and cuts off what is issued until 4 + 6 + 60 + 2; that of 72.1 what
    # a right clock issues until 80.1, and a slow one until 140.1.
    kinds = [subjects.next(0, at).kind for at in (4, 72, 72.1, 96, 140, 140.2)]
    assert kinds == ["principal", "session", "principal", "session", "session", "principal"]


def test_the_role_of_the_session_arns_is_never_cut_off_itself():
    subjects = Subjects(ROLES, [], RIGHT_CLOCK, 0)
    found = [subjects.next(number, 1000.0 * number) for number in range(0, 50, 5)]
    assert {parse_qs(one.body.decode())["RoleArn"][0] for one in found} == {ROLES[1].role_arn}
    claims = token(sub="arn:aws:sts::111122223333:assumed-role/on-call/cut-off", role=ROLES[1].role_arn)
    assert found[0].cut_off(claims) == {"role_arn": ROLES[1].role_arn}


def test_a_user_is_cut_off_by_its_arn():
    subject = Subjects(ROLES[:1], [USER], RIGHT_CLOCK, 0).next(0, 0)
    arn = "arn:aws:iam::111122223333:user/bob"
    assert subject.cut_off(token(sub=arn)) == {"principal_arn": arn}
    assert parse_qs(subject.body.decode())["Action"] == ["GetSessionToken"]


# -- the experiment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [True, False])
def test_every_position_of_the_clock_has_rounds_in_every_region_and_the_end_is_late_enough(quick):
    full = load_all()["clock-skew"]
    one = full.shortened() if quick else full
    assert one.cutoffs is not None
    ends = [*(fault.at_s for fault in one.faults[1:]), one.load.duration_s]
    round_s = max(one.cutoffs.after_s) + 0.3
    for fault, end in zip(one.faults, ends, strict=True):
        assert (end - round_s - fault.at_s) / one.cutoffs.every_s >= 3
    # What a clock that is a minute fast has issued is valid everywhere before it is asked about the last time.
    assert one.load.duration_s + one.cutoffs.settle_s > ends[0] + one.faults[0].offset_s - 2


@pytest.mark.parametrize("quick", [True, False])
def test_roles_and_users_are_cut_off_where_something_is_promised(quick):
    full = load_all()["clock-skew"]
    one = full.shortened() if quick else full
    assert one.cutoffs is not None
    clock, round_s = Clock((fault.at_s, fault.offset_s) for fault in one.faults), max(one.cutoffs.after_s) + 1
    subjects = Subjects(ROLES, [USER] * 4, clock, round_s)
    found = set()
    for number in range(int(one.load.duration_s / one.cutoffs.every_s)):
        at = number * one.cutoffs.every_s
        kind = subjects.next(number, at).kind
        offsets_s = set(clock.offsets_s(at, at + round_s)) - {0.0}
        if at > one.faults[4].at_s and len(offsets_s) <= 1:
            found.add(kind)
    assert found == {"session", "role", "principal"}


def test_the_result_and_the_report_tell_its_rounds():
    told = parameters(load_all()["clock-skew"], False, "http")["cutoffs"]
    assert told == {"every_s": 0.9, "after_s": [0.2, 1.5, 2.5, 3.5, 4.5], "settle_s": 12}
    assert "0.2, 1.5, 2.5, 3.5 and 4.5 s later" in _cutoffs(told)
    assert "cutoffs" not in parameters(load_all()["rolling-upgrade"], False, "http")
