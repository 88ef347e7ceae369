"""The claims about kills, with as many as a test may take."""

from collections.abc import Callable

import pytest

from tests.trust.claim import Outcome
from tests.trust.killed_writes import killed_files, killed_promotions
from tests.trust.kills import is_record, is_whole_pcapng, killed_runs, moved

pytestmark = pytest.mark.takes(15)


@pytest.mark.parametrize(
    ("claim", "scale", "kills"), [(killed_runs, 0.004, 4), (killed_files, 0.02, 6), (killed_promotions, 0.04, 4)]
)
def test_what_is_killed_is_whole(claim: Callable[[float], Outcome], scale: float, kills: int) -> None:
    outcome = claim(scale)
    assert not outcome.failures
    assert outcome.tries == kills


def test_a_capture_is_moved_in_time_and_otherwise_the_same() -> None:
    header, packet = b"\xd4\xc3\xb2\xa1" + bytes(20), (5).to_bytes(4, "little") + bytes(4) + b"\2\0\0\0" * 2 + b"ab"
    later = moved(header + packet * 2, 600)
    assert later == header + ((605).to_bytes(4, "little") + packet[4:]) * 2


def test_what_is_torn_is_seen() -> None:
    assert is_record(b'{"a": 1}')
    assert not is_record(b'{"a": 1')
    assert not is_record(b"[]")
    block = b"\x0a\x0d\x0d\x0a\x0c\0\0\0\x0c\0\0\0"
    assert is_whole_pcapng(block * 2)
    assert not is_whole_pcapng(block + block[:11])
    assert not is_whole_pcapng(b"")
