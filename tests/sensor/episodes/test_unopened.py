"""Data over no connection: what a record is by the packets that it was made of."""

import pytest

from flows.roles import FAILED, OPENED, TALK
from sensor.episodes.unopened import act_of
from tests.support.packets import metered, segments

NAMES = {FAILED: "failed", OPENED: "opened", TALK: "talk"}


CASES = {
    "a byte in a SYN that nobody answers": (["> S 1"], FAILED),
    "a byte in a SYN that is refused": (["> S 1", "< RA"], FAILED),
    "a byte in a SYN that is answered, and no more": (["> S 1", "< SA"], OPENED),
    "a byte in a SYN that is answered, and taken back": (["> S 1", "< SA", "> R"], OPENED),
    "a request in the SYN, which is answered": (["> S 90", "< SA", "> A", "< PA 10"], TALK),
    "a request in the SYN, acknowledged only": (["> S 90", "< SA", "> A"], TALK),
    "an answer before the ACK, which was not seen": (["> S 90", "< SA", "< PA 10"], TALK),
    "data to what knows of no connection": (["> PA 10", "< R"], FAILED),
    "data again and again, refused each time": (["> PA 10", "< R", "> PA 10", "< R"], FAILED),
    "all flags of a Christmas tree with a byte, refused": (["> FPU 1", "< RA"], FAILED),
    "data that was acknowledged before the end": (["> PA 10", "< A", "< RA"], TALK),
    "a connection that is cut off": (["> S", "< SA", "> A", "> PA 10", "< R"], TALK),
    "a connection met in its middle": (["> PA 10", "< PA 10", "< RA"], TALK),
    "data that nobody answers": (["> PA 10"], TALK),
}


@pytest.mark.parametrize("case", CASES)
def test_data_is_talk_where_there_may_be_a_connection(case: str) -> None:
    turns, expected = CASES[case]
    batch = metered(segments(*turns), news_only=True)
    assert [NAMES[act_of(batch.identity, batch.values, i)] for i in range(len(batch))] == [NAMES[expected]]
