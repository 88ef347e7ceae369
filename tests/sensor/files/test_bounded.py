"""Files that settings name: whatever lies there is read within its bound or refused in one line, and nobody waits."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sensor.errors import ConfigError
from sensor.files.bounded import read_bounded
from sensor.outputs.outputs import prepared_outputs
from sensor.settings.outputs import KafkaEntry, OutputEntry, SyslogEntry, WebhookEntry

pytestmark = pytest.mark.ux

SYSLOG = {"type": "syslog", "host": "localhost", "transport": "tls"}
WEBHOOK = {"type": "webhook", "url": "https://localhost/"}
NAMED: list[Callable[[Path], OutputEntry]] = [
    lambda path: SyslogEntry.model_validate({**SYSLOG, "ca": path}),
    lambda path: SyslogEntry.model_validate({**SYSLOG, "certificate": path, "key": path}),
    lambda path: KafkaEntry.model_validate({"type": "kafka", "servers": "localhost:1", "topic": "t", "ca": path}),
    lambda path: WebhookEntry.model_validate({**WEBHOOK, "secret_file": path}),
    lambda path: WebhookEntry.model_validate({**WEBHOOK, "template": path}),
]


def test_a_file_is_read_up_to_its_bound_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_bounded(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="is longer than 4 bytes"):
        read_bounded(tmp_path / "file", 4)


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "is a pipe or a device"),
        ("/dev/zero", "is a pipe or a device"),
        ("sparse", "is longer than"),
        ("directory", "is a directory"),
        ("missing", "no such file"),
    ],
)
def test_whatever_an_output_names_is_refused_in_one_line(
    kind: str, words: str, named: Callable[[Path], OutputEntry], tmp_path: Path
) -> None:
    pytest.importorskip("confluent_kafka")
    path = Path(kind) if kind.startswith("/") else tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 1 << 40)
    elif kind == "directory":
        path.mkdir()
    with pytest.raises(ConfigError) as refused:
        prepared_outputs([named(path)], "gw1")
    assert f"{path}: {words}" in str(refused.value)
    assert ", expected " in str(refused.value)
