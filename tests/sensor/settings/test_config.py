"""Settings: where they come from, and what a wrong one is told."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.yaml_nodes import LIMIT_BYTES
from sensor.errors import ConfigError
from sensor.settings.config import Config, effective_config
from sensor.settings.setting import parse_scalar

pytestmark = pytest.mark.ux

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def error_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        effective_config(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(path))
    return line.removeprefix(str(path))


def test_the_default_file_states_every_setting_with_its_default() -> None:
    text = (CONFIGS / "default.yaml").read_text(encoding="utf-8")
    stated = set(re.findall(r"^  ([a-z_]+):", text, re.M))
    assert stated == {name for section in Config.model_fields.values() for name in section.annotation.model_fields}
    assert effective_config(CONFIGS / "default.yaml").config == Config()


def test_the_gateway_file_loads() -> None:
    assert effective_config(CONFIGS / "gateway.yaml").config.output.file == Path("/var/log/flowvigil/alerts.jsonl")


def test_later_places_win_over_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("meter:\n  idle_timeout_s: 10\n  active_timeout_s: 11\n  closed_linger_s: 12\n")
    environment = {
        "FLOWVIGIL__METER__ACTIVE_TIMEOUT_S": "20",
        "FLOWVIGIL__METER__CLOSED_LINGER_S": "21",
        "PATH": "/bin",
    }
    meter = effective_config(path, environment, ["meter.closed_linger_s=30"]).config.meter
    assert (meter.idle_timeout_s, meter.active_timeout_s, meter.closed_linger_s) == (10, 20, 30)
    assert meter.first_snapshot_s == Config().meter.first_snapshot_s


def test_an_unknown_setting_is_named_with_file_line_column_and_the_nearest_one(tmp_path: Path) -> None:
    line = error_of(tmp_path, "meter:\n  idle_timeout: 60\n")
    assert line == ':2:3: unknown setting "meter.idle_timeout", did you mean "meter.idle_timeout_s"?'


def test_a_setting_in_the_wrong_section_is_sent_to_the_right_one(tmp_path: Path) -> None:
    assert 'did you mean "episodes.quiet_s"?' in error_of(tmp_path, "meter:\n  quiet_s: 60\n")


def test_an_unknown_section_gets_the_list_of_sections(tmp_path: Path) -> None:
    sections = ", ".join(sorted(Config.model_fields))
    assert f"expected one of {sections}" in error_of(tmp_path, "zzz:\n  qqq: 60\n")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("meter:\n  idle_timeout_s: 0\n", ":2:19", "expected 0.001 or more"),
        ("meter:\n  active_timeout_s: 3001\n", ":2:21", "expected 3000 or less"),
        ("meter:\n  capacity_flows: 1.5\n", ":2:19", "expected a whole number"),
        ("meter:\n  capacity_flows: '4096'\n", ":2:19", "expected a whole number"),
        ("meter:\n  idle_timeout_s: 012\n", ":2:19", "take for a number: expected plain decimal digits"),
        ("meter:\n  idle_timeout_s: 1:30\n", ":2:19", "take for a number: expected plain decimal digits"),
        ("meter:\n  idle_timeout_s: no\n", ":2:19", "take for a truth value: expected true or false"),
        ("meter:\n  idle_timeout_s: true\n", ":2:19", "expected a number"),
        ("meter:\n  idle_timeout_s: .inf\n", ":2:19", "take for a number: expected plain decimal digits"),
        ("meter:\n  idle_timeout_s:\n", ":2:18", "expected a number"),
        ("detection:\n  false_positive_rate: 0.02\n", ":2:24", "0.001, 0.01 or 0.05"),
        ("capture:\n  ring_block_bytes: 100000\n", ":2:21", "multiple of 65536"),
        ("meter:\n  idle_timeout_s: 1\n  idle_timeout_s: 2\n", ":3:3", "a second time"),
        ("meter: {}\nmeter: {}\n", ":2:1", "a second time"),
        ("meter: &m\n  idle_timeout_s: 1\n", ":1:8", "anchor &m"),
        ("meter: *m\n", ":1:8", "alias"),
        ("meter:\n  idle_timeout_s: !!float 1\n", ":2:19", "tag"),
        ("meter: !!python/object/apply:os.system [id]\n", ":1:8", "tag"),
        ("meter:\n  idle_timeout_s: [1]\n", ":2:19", "expected one value"),
        ("meter:\n  - idle_timeout_s\n", ":2:3", "expected settings"),
        ("- meter\n", ":1:1", "expected settings"),
        ("meter: 5\n", ":1:1", "expected settings below it, such as meter.capacity_flows"),
        ("idle_timeout_s: 5\n", ":1:1", 'did you mean "meter.idle_timeout_s"?'),
        ("meter.idle_timeout_s: 5\n", ":1:1", "expected a section with settings below it"),
        ("metre:\n", ":1:1", 'unknown section "metre", did you mean "meter"?'),
        ("metre: {}\n", ":1:1", 'unknown section "metre", did you mean "meter"?'),
        ("zzz:\n", ":1:1", 'unknown section "zzz", expected one of api, attach, capture, detection'),
        ("meter: {<<: {idle_timeout_s: 1}}\n", ":1:9", "merge key"),
        ("<<: {meter: {}}\n", ":1:1", "merge key"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", ":1:4", "anchor &a"),
        ("meter:\n  idle_timeout_s: 1\x00\n", ":2:20", "character 0x00, expected text"),
        ("? [a]\n: b\n", ":1:3", "expected plain text"),
        ("meter:\n\tidle_timeout_s: 1\n", ":2:1", "a tab, expected blanks for the indent"),
        ("a: 1\n---\nb: 2\n", ":2:1", "document"),
        ("[" * 2000, ":1:", "nested too deeply"),
        ("? " * 2000, ":1:", "nested too deeply"),
        ("meter:\n  a: " + "{a: " * 2000, ":2:", "nested too deeply"),
    ],
)
def test_a_bad_line_is_told_with_its_place_and_what_was_expected(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    line = error_of(tmp_path, text)
    assert line.startswith(place)
    assert words.lower() in line.lower()


# What one reader of YAML takes for something else than another (YAML 1.1 and 1.2).
SURPRISES = (
    *("no", "No", "NO", "yes", "on", "off", "y", "N", "True", "FALSE", "~", "Null", "NULL"),
    *("012", "0o17", "0x1F", "0b11", "1_000", "12:30:00", "1:30", ".inf", "-.INF", ".nan", ".5", "1_0.5"),
    *("2026-01-01", "2026-01-01T00:00:00Z", "="),
)


@pytest.mark.parametrize("written", SURPRISES)
@pytest.mark.parametrize("name", ["output.file", "process.user", "capture.filter", "meter.idle_timeout_s"])
def test_what_readers_of_yaml_disagree_on_is_refused_where_text_or_a_number_was_meant(
    tmp_path: Path, name: str, written: str
) -> None:
    section, _, last = name.partition(".")
    line = error_of(tmp_path, f"{section}:\n  {last}: {written}\n")
    assert line.startswith(f":2:{len(last) + 5}: {name} is {written}, which some readers of YAML take for ")
    assert f'"{written}" in quotes' in line


@pytest.mark.parametrize("written", SURPRISES)
def test_in_quotes_it_is_text(tmp_path: Path, written: str) -> None:
    for quote in ("'", '"'):
        (tmp_path / "site.yaml").write_text(f"capture:\n  filter: {quote}{written}{quote}\n")
        assert effective_config(tmp_path / "site.yaml").config.capture.filter == written


@pytest.mark.parametrize("written", ["60", "60.0", "6e1", "6.0e+1", "+60"])
def test_plain_numbers_are_numbers(tmp_path: Path, written: str) -> None:
    (tmp_path / "site.yaml").write_text(f"meter:\n  idle_timeout_s: {written}\n")
    assert effective_config(tmp_path / "site.yaml").config.meter.idle_timeout_s == 60


@pytest.mark.parametrize("written", ["no", "012", "1_000", "1__0", "12:30:00", ".inf", "0x10"])
def test_the_environment_and_set_know_decimal_numbers_only(written: str) -> None:
    with pytest.raises(ConfigError, match=f"idle_timeout_s is '{re.escape(written)}': expected a number"):
        effective_config(overrides=[f"meter.idle_timeout_s={written}"])


@pytest.mark.parametrize(
    "text",
    [
        "meter: {" + "a,",
        "meter: [" + "[],",
        "meter:\n  a: " + "x" * 70_000,
        "- " * 40_000,
        'meter: {a: "' + "\\n" * 40_000,
    ],
    ids=["flow", "brackets", "long", "dashes", "quotes"],
)
def test_no_file_takes_long_to_refuse(tmp_path: Path, text: str) -> None:
    started = time.process_time()
    content = text + text[-3:] * 400_000
    error_of(tmp_path, content[:LIMIT_BYTES])
    error_of(tmp_path, content[: 1 << 20])
    assert time.process_time() - started < 8  # about one on an idle core


def test_every_fault_is_told_the_first_as_the_message(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("meter:\n  idle_timeout: 60\n  capacity_flows: 1\nmetre:\noutput:\n  fiel: x\n")
    with pytest.raises(ConfigError) as caught:
        effective_config(path)
    faults = (str(caught.value), *caught.value.detail)
    assert [fault.removeprefix(str(path)).split(" ")[0] for fault in faults] == [":4:1:", ":2:3:", ":6:3:", ":3:19:"]


def test_a_file_full_of_faults_is_told_in_part(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("meter:\n" + "".join(f"  a{number}: 1\n" for number in range(100)))
    with pytest.raises(ConfigError) as caught:
        effective_config(path)
    assert len(caught.value.detail) == 20
    assert caught.value.detail[-1] == "and 80 more"


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such file"):
        effective_config(tmp_path / "nothing.yaml")
    (tmp_path / "b.yaml").write_bytes(b"meter:\n  \xff\n")
    with pytest.raises(ConfigError, match=r"b\.yaml:2: byte 0xff is not UTF-8"):
        effective_config(tmp_path / "b.yaml")


def test_an_override_and_a_variable_are_named_as_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^--set meter\.idle=5: unknown setting"):
        effective_config(overrides=["meter.idle=5"])
    with pytest.raises(ConfigError, match=r"^environment variable FLOWVIGIL__METER__IDLE_TIMEOUT_S: .*'soon'"):
        effective_config(environment={"FLOWVIGIL__METER__IDLE_TIMEOUT_S": "soon"})
    with pytest.raises(ConfigError, match="expected"):
        effective_config(overrides=["meter"])


@pytest.mark.parametrize("name", ["meter", "a.b.c", "__class__", "meter.__class__", ""])
def test_a_name_that_is_no_setting_is_refused_from_anywhere(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown setting"):
        effective_config(overrides=[f"{name}=1"])


def test_an_empty_file_and_an_empty_section_change_nothing(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "meter:\n", "meter: {}\noutput: null\n"):
        (tmp_path / "site.yaml").write_text(text)
        assert effective_config(tmp_path / "site.yaml").config == Config()


@given(st.text(max_size=60))
def test_any_text_as_a_value_is_a_value(text: str) -> None:
    assert isinstance(parse_scalar(text), str | int | float | bool | None)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_file_are_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    message = ""
    try:
        effective_config(path)
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message


def test_settings_load_without_yaml_when_there_is_no_file() -> None:
    load = "from sensor.settings.config import effective_config; effective_config()"
    program = f"import sys; {load}; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=CONFIGS.parent, check=False).returncode == 0


@pytest.mark.parametrize("name", ["idle_timeout_s", "active_timeout_s", "first_snapshot_s", "snapshot_interval_s"])
def test_a_time_too_short_for_the_meter_is_refused_as_a_setting(name: str) -> None:
    with pytest.raises(ConfigError, match=f"meter.{name}"):
        effective_config(overrides=[f"meter.{name}=0.0000001"])
    effective_config(overrides=[f"meter.{name}=0.001"])


def test_where_no_quotes_can_say_so_digits_and_words_are_text_for_what_is_text() -> None:
    given = {"FLOWVIGIL__SENSOR__NAME": "42", "FLOWVIGIL__CAPTURE__FILTER": "null", "FLOWVIGIL__PROCESS__USER": "0"}
    config = effective_config(None, given, ["detection.bundle=2024", "output.file=true", "capture.workers=2"]).config
    assert (config.sensor.name, config.capture.filter, config.process.user) == ("42", None, 0)
    assert (config.detection.bundle, config.output.file, config.capture.workers) == (Path("2024"), Path("true"), 2)
