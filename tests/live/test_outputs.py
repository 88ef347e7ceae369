"""`flowvigil watch` with outputs: they reach their receivers after the privileges have gone."""

import socket
import threading
from pathlib import Path

import pytest

from tests.support.namespaces import SERVER, inside, ip
from tests.support.sensors import watching

pytestmark = [pytest.mark.live, pytest.mark.ux]


def received(listening: socket.socket, content: bytearray) -> None:
    """Take what one connection sends until it ends."""
    connection, _ = listening.accept()
    with connection:
        while part := connection.recv(65536):
            content += part


def test_alerts_reach_a_collector_by_name_after_the_privileges_have_gone(
    cable: tuple[str, str], tmp_path: Path
) -> None:
    left, right = cable
    ip("-n", right, "link", "set", "lo", "up")
    content = bytearray()
    with inside(right):
        listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(120)
    port = listening.getsockname()[1]
    collector = threading.Thread(target=received, args=(listening, content))
    collector.start()
    settings = tmp_path / "outputs.yaml"
    settings.write_text(f"outputs:\n  - type: syslog\n    host: localhost\n    transport: tcp\n    port: {port}\n")
    with listening, watching(right, tmp_path, "-c", str(settings), write=False) as watch:
        with inside(left):
            for knocked in range(1000, 1300):
                with socket.socket() as knocking:
                    knocking.settimeout(0.2)
                    knocking.connect_ex((SERVER, knocked))
        watch.wait_for("alert", 20, action="opened")
        status = Path(f"/proc/{watch.process.pid}/status").read_text()
        result = watch.stop()
    collector.join(30)
    assert result.code == 0, result
    assert "CapEff:\t0000000000000000" in status
    told = [line for line in watch.told().splitlines() if b'"flowvigil.alert"' in line]
    assert told
    assert all(line in content for line in told)
