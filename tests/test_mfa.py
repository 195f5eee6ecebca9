"""MFA codes and their single use (RFC 6238, spec 3.2.9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd import mfa
from stsd.mfa import DRIFT_STEPS, MAX_VERIFICATIONS, STEP_S, WINDOW_S, Failed, OverBudget, UsedCodes, UsedStep

SEED = b"12345678901234567890"
DEVICE = "arn:aws:iam::111122223333:mfa/frank"
NOW = 1_795_435_200.0


def code(at: float) -> str:
    return mfa.code_of(SEED, int(at) // STEP_S)


def use(codes: UsedCodes, text: str, now: float = NOW) -> mfa.Verdict:
    """As the shell does: judge, store, and say so."""
    verdict = codes.verify(DEVICE, SEED, text, now)
    if isinstance(verdict, UsedStep):
        codes.add(verdict, now, here=True)
    return verdict


@pytest.mark.parametrize(("at", "expected"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_rfc(at, expected):
    assert code(at) == expected


@given(st.integers(-6, 6), st.integers(0, STEP_S - 1))
def test_a_code_is_good_two_steps_before_and_after_its_own(steps, second):
    verdict = use(UsedCodes(), code(NOW + steps * STEP_S), NOW + second)
    assert isinstance(verdict, UsedStep) == (abs(steps) <= DRIFT_STEPS)


def test_a_code_is_good_once():
    codes = UsedCodes()
    assert isinstance(use(codes, code(NOW)), UsedStep)
    assert use(codes, code(NOW)) == Failed(DEVICE, int(NOW) // WINDOW_S, 1, "mfa_code_used")


def test_an_older_code_that_was_not_used_is_still_good():
    codes = UsedCodes()
    use(codes, code(NOW))
    assert isinstance(use(codes, code(NOW - STEP_S)), UsedStep)


def test_a_code_that_is_being_stored_is_refused_and_one_that_could_not_be_is_not():
    codes = UsedCodes()
    first = codes.verify(DEVICE, SEED, code(NOW), NOW)
    assert isinstance(first, UsedStep)
    assert isinstance(codes.verify(DEVICE, SEED, code(NOW), NOW), Failed)
    codes.release(first)
    assert codes.verify(DEVICE, SEED, code(NOW), NOW) == first


def test_what_was_used_elsewhere_is_used_here_and_counts_there_only():
    codes = UsedCodes()
    for step in range(3):
        codes.add(UsedStep(DEVICE, int(NOW) // STEP_S + step, int(NOW)), NOW, here=False)
    assert isinstance(use(codes, code(NOW)), Failed)
    for _ in range(MAX_VERIFICATIONS - 1):
        assert isinstance(use(codes, "000000"), Failed)
    with pytest.raises(OverBudget):
        use(codes, "000000")


def test_a_device_has_nine_verifications_in_three_minutes_right_or_wrong():
    codes = UsedCodes()
    start = NOW - NOW % WINDOW_S
    use(codes, code(start), start)
    for _ in range(MAX_VERIFICATIONS - 1):
        use(codes, "000000", start + 1)
    with pytest.raises(OverBudget):
        use(codes, code(start + 30), start + 30)
    with pytest.raises(OverBudget):
        use(codes, code(start + 179), start + 179)
    assert isinstance(use(codes, code(start + 180), start + 180), UsedStep)


def test_a_code_given_late_counts_until_its_window_is_over():
    codes = UsedCodes()
    start = NOW - NOW % WINDOW_S
    assert isinstance(use(codes, code(start - DRIFT_STEPS * STEP_S), start), UsedStep)
    for _ in range(MAX_VERIFICATIONS - 1):
        use(codes, "000000", start)
    with pytest.raises(OverBudget):
        use(codes, code(start + 179), start + 179)


def test_codes_that_are_being_stored_count_already():
    codes = UsedCodes()
    for step in range(-DRIFT_STEPS, DRIFT_STEPS + 1):
        assert isinstance(codes.verify(DEVICE, SEED, code(NOW + step * STEP_S), NOW), UsedStep)
    for _ in range(MAX_VERIFICATIONS - (2 * DRIFT_STEPS + 1)):
        use(codes, "000000")
    with pytest.raises(OverBudget):
        use(codes, "000000")


@pytest.mark.parametrize("heard_of", ["before it was stored here", "after it was stored here"])
def test_a_code_used_here_counts_here_though_another_region_tells_of_it_too(heard_of):
    codes = UsedCodes()
    used = codes.verify(DEVICE, SEED, code(NOW), NOW)
    assert isinstance(used, UsedStep)
    for here in (False, True) if heard_of == "before it was stored here" else (True, False):
        codes.add(used, NOW, here=here)
    for _ in range(MAX_VERIFICATIONS - 1):
        assert isinstance(use(codes, "000000"), Failed)
    with pytest.raises(OverBudget):
        use(codes, "000000")


def test_a_code_that_another_region_took_meanwhile_stays_used_though_it_could_not_be_stored_here():
    codes = UsedCodes()
    first = codes.verify(DEVICE, SEED, code(NOW), NOW)
    assert isinstance(first, UsedStep)
    codes.add(first, NOW, here=False)
    codes.release(first)
    assert isinstance(use(codes, code(NOW)), Failed)


def test_failures_of_a_window_do_not_count_in_the_next_one():
    codes = UsedCodes()
    for now in (NOW, NOW + WINDOW_S):
        for failures in range(1, MAX_VERIFICATIONS + 1):
            assert use(codes, "000000", now) == Failed(DEVICE, int(now) // WINDOW_S, failures)


def test_failures_survive_a_restart():
    codes = UsedCodes()
    codes.restore(Failed(DEVICE, int(NOW) // WINDOW_S, MAX_VERIFICATIONS))
    with pytest.raises(OverBudget):
        use(codes, code(NOW))
    assert isinstance(use(codes, code(NOW + WINDOW_S), NOW + WINDOW_S), UsedStep)


def test_devices_are_apart():
    codes = UsedCodes()
    use(codes, code(NOW))
    assert isinstance(codes.verify(DEVICE + "2", SEED, code(NOW), NOW), UsedStep)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 120)), max_size=30))
def test_no_step_is_ever_accepted_twice(tries):
    codes, accepted, now = UsedCodes(), [], NOW
    for steps, passing in tries:
        now += passing
        try:
            verdict = use(codes, code(now + steps * STEP_S), now)
        except OverBudget:
            continue
        if isinstance(verdict, UsedStep):
            accepted.append(verdict.step)
    assert len(accepted) == len(set(accepted))


def test_a_code_for_the_operator_is_one_that_is_not_used():
    codes = UsedCodes()
    told = []
    while (text := codes.next_code(DEVICE, SEED, NOW)) is not None:
        told.append(text)
        use(codes, text)
    assert len(told) == 2 * DRIFT_STEPS + 1
    assert told[0] == code(NOW)


def test_neither_a_seed_nor_a_code_shows():
    codes = UsedCodes()
    verdict = use(codes, code(NOW))
    assert code(NOW) not in repr((codes, verdict))
    assert "1234567890" not in repr((codes, verdict))
