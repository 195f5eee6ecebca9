from __future__ import annotations

import inspect

from loadtest.bench import DISTINCT_TOKENS
from loadtest.rows import EMPTY_POST, RAW_OPEN, REFERENCES, Slice, rows
from stsd.tokens.cache import VerifiedTokens


def rounds(*scales: float, older: float = 1.0):
    """Rounds in which everything was `scales` times as fast, and ours always half as fast as its reference."""
    plain = {EMPTY_POST: 100.0, RAW_OPEN: 100.0, **dict.fromkeys(REFERENCES, 50.0)}
    plain |= {f"HEAD~1 {name}": 50.0 * older for name in REFERENCES}
    return [{name: Slice(rate * scale, 10.0) for name, rate in plain.items()} for scale in scales]


def test_a_ratio_is_judged_within_its_round_so_that_a_slow_round_moves_nothing():
    for row in rows(rounds(1, 0.2, 3)):
        assert (row.ours, row.reference, row.ratio) == (50.0, 100.0, 0.5)
        assert row.runs == (0.5, 0.5, 0.5)


def test_one_disturbed_slice_does_not_move_the_median():
    disturbed = rounds(1, 1, 1)
    disturbed[0]["AssumeRole"] = Slice(1.0, 10.0)
    [row] = [row for row in rows(disturbed) if row.name == "AssumeRole"]
    assert row.ratio == 0.5
    assert row.runs == (0.01, 0.5, 0.5)


def test_json_has_the_members_of_the_contract_and_no_other():
    found = [row.json() for row in rows(rounds(1))]
    assert [row["name"] for row in found] == [
        "AssumeRole", "GetCallerIdentity", "verify http uncached", "verify http cached", "verify in process",
    ]  # fmt: skip
    assert found[0] == {
        "name": "AssumeRole", "unit": "calls/s", "ours": 50.0, "reference": 100.0,
        "reference_name": "empty aiohttp POST", "ratio": 0.5, "runs": [0.5],
    }  # fmt: skip


def test_an_older_commit_is_a_reference_of_its_own():
    found = rows(rounds(1, 1, older=0.5), against="HEAD~1")
    assert len(found) == 10
    assert {(row.reference_name, row.ratio) for row in found[5:]} == {("HEAD~1", 2.0)}


def test_a_row_says_when_the_client_was_the_bound():
    bound = rounds(1)
    bound[0][EMPTY_POST] = Slice(100.0, 10.0, client_bound=True)
    assert {row.name for row in rows(bound) if row.client_bound} == {
        "AssumeRole", "GetCallerIdentity", "verify http cached",
    }  # fmt: skip


def test_uncached_tokens_are_more_than_a_node_remembers():
    assert inspect.signature(VerifiedTokens).parameters["limit"].default < DISTINCT_TOKENS
