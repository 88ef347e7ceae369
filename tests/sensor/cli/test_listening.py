"""Listening to an interface for a rehearsal: when it ends, and what is said of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sensor.cli import listening


class Turns:
    """Turns of so many packets in all, until they are stopped."""

    def __init__(self, *packets: int) -> None:
        self._packets, self.stopped = packets, False

    def __iter__(self) -> Any:
        for packets in self._packets:
            if not self.stopped:
                yield SimpleNamespace(totals=SimpleNamespace(stats=SimpleNamespace(packets=packets), lost_packets=0))

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize(("seconds", "most", "told"), [(600.0, 100, True), (600.0, 1000, False), (0.0, 100, False)])
def test_who_listened_for_less_than_was_asked_is_told(
    seconds: float, most: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, told: bool
) -> None:
    path = tmp_path / "heard.pcapng"
    path.touch()
    turns: Any = Turns(50, 150, 250)
    listening._listen(listening._Listening(turns), path, seconds, most, lambda _: None)
    said = capsys.readouterr().err
    assert (" of 10 min: no more than 100 packets, or " in said) == told
    assert turns.stopped == (told or not seconds)
