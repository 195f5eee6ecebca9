"""When a region counts as coming back."""

from __future__ import annotations

from stsd.server.backbone.absences import AWAY_S, BACK_S, Absences

HOME, EUROPE = "us-east-1", "eu-west-1"


def test_who_is_heard_for_the_first_time_or_all_the_time_does_not_come_back():
    absences = Absences()
    for beat in range(5):
        absences.hear(HOME, beat * AWAY_S)
        assert not absences.is_coming_back(HOME, beat * AWAY_S)


def test_who_was_silent_comes_back_for_a_while_and_nobody_else_does():
    absences, back = Absences(), 100 + AWAY_S + 0.1
    for region in (HOME, EUROPE):
        absences.hear(region, 100)
    absences.hear(EUROPE, 102)
    assert not absences.is_coming_back(HOME, back)
    for region in (HOME, EUROPE):
        absences.hear(region, back)
    absences.hear(HOME, back + 1)
    assert absences.is_coming_back(HOME, back + BACK_S - 0.1)
    assert not absences.is_coming_back(HOME, back + BACK_S)
    assert not absences.is_coming_back(EUROPE, back)
