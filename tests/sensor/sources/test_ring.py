"""What the ring refuses before it needs any permission."""

import pytest

from sensor.errors import CaptureError
from sensor.sources.live.ring import RingCapture


@pytest.mark.parametrize("name", ["no-such-if0", "a-name-longer-than-any-interface", ""])
def test_an_unknown_interface_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(CaptureError, match=rf"^{name}: no such interface, expected one of .*\blo\b"):
        RingCapture([name], 1 << 20, 32)
