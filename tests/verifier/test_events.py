"""Server-sent events: however the bytes are cut, the events are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.verifier import events
from stsd.verifier.events import Event, EventParser

STREAM = 'id: c1\nevent: revocations\ndata: {"é": 1}\n\n: a comment\n\r\nevent: heartbeat\r\ndata:x\r\ndata: y\r\n\r\n'
EVENTS = [Event("revocations", "c1", '{"é": 1}'), Event("heartbeat", "c1", "x\ny")]


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=20).map(sorted))
def test_the_cuts_between_chunks_do_not_matter(cuts):
    content, parser = STREAM.encode(), EventParser()
    chunks = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_an_event_without_an_end_is_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 100)
    with pytest.raises(ValueError, match="too large"):
        EventParser().feed(b"data: " + b"x" * 100)
    parser = EventParser()
    parser.feed(b"data: x\n" * 12)
    with pytest.raises(ValueError, match="too large"):
        parser.feed(b"data: x\n" * 3)


def test_what_is_not_utf_8_is_refused():
    with pytest.raises(ValueError, match="utf-8"):
        EventParser().feed(b"data: \xff\n\n")
