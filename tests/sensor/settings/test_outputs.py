"""The list of outputs in the settings: every fault is told with its place."""

from pathlib import Path

import pytest

from sensor.errors import ConfigError
from sensor.settings.config import effective_config
from sensor.settings.outputs import FileEntry, SyslogEntry

pytestmark = pytest.mark.ux


def faults(tmp_path: Path, text: str) -> str:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        effective_config(file)
    return str(raised.value).removeprefix(f"{tmp_path}/")


def test_outputs_are_read_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        "output:\n  file: a.jsonl\noutputs:\n- type: file\n  path: b\n  format: eve\n- type: syslog\n  host: siem\n"
    )
    config = effective_config(file).config
    assert config.outputs == (
        FileEntry(type="file", path=Path("b"), format="eve"),
        SyslogEntry(type="syslog", host="siem"),
    )
    assert config.output.file == Path("a.jsonl")
    assert effective_config().config.outputs == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("outputs:\n- path: x\n", 'site.yaml:2:3: an output without a type, expected one of file'),
        ("outputs:\n- type: sylog\n  host: x\n", """site.yaml:2:9: outputs.type is 'sylog', did you mean "syslog"?"""),
        ("outputs:\n- type: file\n", "site.yaml:2:3: an output of type file without path"),
        ("outputs:\n- type: file\n  pat: x\n  path: q\n", 'site.yaml:3:3: unknown setting "pat" of an output of type'),
        ("outputs:\n- type: syslog\n  host: x\n  protocol: udp\n",
         'site.yaml:4:3: unknown setting "protocol" of an output of type syslog, did you mean "transport"?'),
        ("outputs:\n- type: kafka\n  topic: x\n  servers: q\n  address: z\n",
         'site.yaml:5:3: unknown setting "address" of an output of type kafka, did you mean "servers"?'),
        ("outputs:\n- type: syslog\n  host: x\n  port: 0\n", "site.yaml:4:9: outputs.port is 0: expected 1 or more"),
        ("outputs:\n- type: syslog\n  host: x\n  ca: q\n", "site.yaml:4:7: outputs.ca with transport tcp"),
        ("outputs:\n- type: webhook\n  url: https://x/\n  token: q\n",
         'site.yaml:4:3: unknown setting "token" of an output of type webhook, did you mean "secret_file"?'),
        ("outputs:\n- type: webhook\n  url: http://x/\n  secret_file: q\n",
         "site.yaml:4:16: outputs.secret_file with a url of http"),
        ("outputs:\n- type: webhook\n  url: https://u:p@x/\n", "site.yaml:3:8: outputs.url has no host, or more than"),
        ("outputs:\n- type: webhook\n  url: https://x:port/\n", "site.yaml:3:8: outputs.url has no host, or more than"),
        ("outputs:\n- type: webhook\n  url: https://x/\n  format: cef\n", "site.yaml:4:11: outputs.format is 'cef'"),
        ("outputs:\n- type: mail\n  host: x\n  sender: a@b\n  recipients: c@d\n  user: u\n",
         "site.yaml:6:9: outputs.user alone, expected secret_file or secret_environment too"),
        ("outputs:\n- type: mail\n  host: x\n  sender: a@b\n  recipients: c@d\n  security: none\n  ca: q\n",
         "site.yaml:7:7: outputs.ca with security none"),
        ("outputs:\n- type: kafka\n  servers: x\n  topic: q\n  key: z\n", "site.yaml:5:8: outputs.key alone"),
        ("outputs:\n- type: stdout\n- type: stdout\n", "site.yaml:3:3: stdout a second time"),
        ("outputs:\n  type: file\n", "site.yaml:2:3: outputs is a mapping, expected a list"),
        ("outputs:\n- type: [file]\n", 'site.yaml:2:9: "type" is a list, expected one value'),
        ("outputs:\n- type: syslog\n  host: no\n", "site.yaml:3:9: outputs.host is no, which some readers"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    assert faults(tmp_path, text).startswith(expected)


def test_two_outputs_cannot_share_a_spool(tmp_path: Path) -> None:
    text = "outputs:\n- {type: file, path: a, spool: s}\n- {type: file, path: b, spool: s}\n"
    assert "share the spool s" in faults(tmp_path, text)


def test_the_examples_are_valid() -> None:
    examples = Path(__file__).parents[3] / "configs" / "examples"
    assert [output.type for output in effective_config(examples / "outputs.yaml").config.outputs] == [
        "file",
        "unix",
        "syslog",
        "kafka",
        "webhook",
        "mail",
    ]
