"""Settings written as a settings file: the same values read back, and nothing that a terminal obeys."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.printable import printable
from sensor.settings.config import Config, EffectiveConfig, effective_config
from sensor.settings.text import settings_text, value_text

pytestmark = pytest.mark.ux


def test_the_defaults_read_back_as_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(settings_text(effective_config(), places=False))
    assert effective_config(path).config == Config()
    assert len(effective_config(path).places) == sum(
        len(section.annotation.model_fields) for section in Config.model_fields.values()
    )


def test_outputs_read_back_as_they_were_with_the_place_of_each_setting(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "outputs:\n  - type: syslog\n    host: '10.0.0.1'\n    port: 601\n"
        "  - {type: file, path: /var/log/no, format: ocsf}\n"
    )
    found = effective_config(path)
    written = settings_text(found, places=True)
    assert f"  - type: syslog  # {path}:2:11\n" in written
    assert f"    port: 601  # {path}:4:11\n" in written
    assert "    facility: local0  # default\n" in written
    again = tmp_path / "again.yaml"
    again.write_text(written)
    assert effective_config(again).config == found.config
    assert effective_config(again).config.outputs == found.config.outputs


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40), places=st.booleans()
)
def test_any_text_reads_back_as_it_was_and_is_safe_to_show(
    tmp_path_factory: pytest.TempPathFactory, text: str, places: bool
) -> None:
    config = effective_config().config
    changed = config.model_copy(update={"capture": config.capture.model_copy(update={"filter": text})})
    written = settings_text(EffectiveConfig(changed, {"capture.filter": f"--set {text}"}), places=places)
    assert all(printable(line, 2000) == line for line in written.splitlines())
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(written)
    assert effective_config(path).config == changed


@given(st.floats(min_value=0.001, max_value=3000))
def test_any_number_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, number: float) -> None:
    path = tmp_path_factory.getbasetemp() / "number.yaml"
    path.write_text(f"meter:\n  idle_timeout_s: {value_text(number)}\n")
    assert effective_config(path).config.meter.idle_timeout_s == number


@pytest.mark.parametrize("text", ["no", "y", "null", "012", "12:30", "~", "", "a b", "tcp port 443: x", "=", "true"])
def test_text_that_a_reader_may_take_for_something_else_stands_in_quotes(text: str) -> None:
    assert value_text(text) == f'"{text}"'


def test_ordinary_words_and_paths_stand_without_quotes() -> None:
    assert value_text("kernel") == "kernel"
    assert value_text(Path("/var/log/flowvigil/alerts.jsonl")) == "/var/log/flowvigil/alerts.jsonl"
