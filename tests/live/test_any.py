"""`flowvigil watch -i any`, and `--write` beside a capture of an earlier run."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from sensor.cli.live_capture import named_interfaces
from sensor.errors import OutputError
from sensor.packets.pcapng import create_capture
from sensor.sources.live.ring import RingCapture
from tests.support.command import flowvigil
from tests.support.namespaces import inside, ip

pytestmark = pytest.mark.live


def watching_once(interfaces: tuple[str, ...]) -> tuple[str, ...]:
    """Open a ring on the interfaces: those that it watches."""
    with closing(RingCapture(interfaces, 1 << 20, 4)) as capture:
        return tuple(state.name for state in capture.links)


def test_any_is_what_is_up(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "link", "add", "down0", "type", "veth", "peer", "name", "down1")
    with inside(left):
        found = named_interfaces(["any", "fv0"])
        watched = watching_once(found)
    assert "fv0" in found
    assert watched == found
    assert "down0" not in found
    assert len(set(found)) == len(found)
    checked = flowvigil("check", "--json", "-m", "nosuch", "-i", "any", "-i", "fv0", namespace=left)
    (told,) = (line for line in map(json.loads, checked.stdout.splitlines()) if line["check"] == "interface")
    assert (told["status"], told["message"]) == ("ok", f"up: {', '.join(found)}")


def test_a_capture_of_an_earlier_run_is_never_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    create_capture(kept).close()
    before = kept.read_bytes()
    with pytest.raises(OutputError, match="found a file that is not empty, expected a new name"):
        create_capture(kept)
    result = flowvigil("watch", "-i", "any", "--write", kept)
    assert (result.code, result.stdout) == (7, b"")
    assert "found a file that is not empty" in result.stderr[-1]
    assert kept.read_bytes() == before
