"""The manual page and the help it is made from: up to date, rendered without a warning, its examples and codes true."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sensor import errors
from sensor.cli import EPILOG
from sensor.cli.manual import PAGE, commands_of, manual
from sensor.settings.config import setting_names
from tests.support.command import surroundings
from tests.support.command_examples import GROUP, examples, take

pytestmark = pytest.mark.ux

TESTS = Path(__file__).resolve().parents[2]
COMMANDS = dict(commands_of(GROUP, "flowvigil"))
# Where each exit code is proven by the real command.
PROVEN = {
    errors.OK: ("sensor/cli/test_read.py", "test_quiet_says_nothing_but_alerts"),
    errors.INTERNAL: ("sensor/cli/test_manual.py", "test_a_fault_of_the_program_is_one_line_and_exit_code_1"),
    errors.USAGE: ("sensor/cli/test_read.py", "test_a_wrong_command_line_is_one_line_that_says_where_help_is"),
    errors.CONFIG: ("sensor/cli/test_read.py", "test_a_bad_config_is_named_with_line_and_column"),
    errors.MODEL: ("sensor/cli/test_read.py", "test_a_bundle_with_a_changed_byte_is_refused"),
    errors.CAPTURE: ("sensor/cli/test_read.py", "test_an_interface_that_does_not_exist_is_named_beside_those_that_do"),
    errors.INPUT: ("sensor/cli/test_read.py", "test_a_missing_file_is_named"),
    errors.OUTPUT: ("sensor/cli/test_read.py", "test_a_full_output_is_named_and_the_others_still_get_what_was_found"),
    errors.CLUSTER: (
        "sensor/cli/test_scheduler.py",
        "test_a_scheduler_that_is_gone_ends_the_run_which_goes_on_later",
    ),
    errors.FAIL_ON: ("sensor/cli/test_pipes.py", "test_a_find_is_exit_code_10"),
    errors.NOT_MET: ("sensor/cli/test_selftest.py", "test_a_sensor_that_misses_attacks_fails_with_11_and_names_them"),
    errors.INTERRUPTED: ("sensor/cli/test_read.py", "test_an_interrupt_ends_a_read_with_what_was_found_so_far"),
    errors.BROKEN_PIPE: ("sensor/cli/test_pipes.py", "test_a_reader_that_is_gone_ends_any_command_quietly"),
}


def laid_out(text: str) -> str:
    """The paragraphs of a help text that examples stand in."""
    return "\n".join(part for part in text.split("\n\n") if part.lstrip().startswith("\b"))


@pytest.mark.parametrize(
    "place", ["docs/captures.md", "docs/flowvigil.1", "configs/default.yaml", "sensor/report/limits.py"]
)
def test_tunnels_are_listed_alike_everywhere(place: str) -> None:
    text = (TESTS.parent / place).read_text(encoding="utf-8").replace("\\-", "-")
    assert "GRE, ERSPAN, VXLAN, Geneve, GTP-U, TZSP, IP in IP" in text
    assert "IP-in-IP" not in text


def test_the_manual_page_says_what_the_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == manual(), "run python -m sensor.cli.manual"


@pytest.mark.parametrize("formatter", ["man", "groff", "mandoc"])
def test_the_manual_page_renders_without_a_warning(formatter: str) -> None:
    if shutil.which(formatter) is None:
        pytest.skip(f"needs {formatter}")
    arguments = {  # mandoc warns of every page without a date
        "man": ["man", "--warnings=w", "-l", str(PAGE)],
        "groff": ["groff", "-man", "-Tutf8", "-ww", str(PAGE)],
        "mandoc": ["mandoc", "-man", "-Tutf8", "-Werror", str(PAGE)],
    }
    run = subprocess.run(
        arguments[formatter], capture_output=True, text=True, env=surroundings(MANWIDTH="120"), check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    shown = re.sub(r".\x08|\x1b\[[0-9;]*m", "", run.stdout)
    assert "flowvigil read x.pcap -q --fail-on attack > x.jsonl || echo 'look at x.jsonl'" in shown
    assert "--log-format FORM" in shown


def test_the_manual_page_names_every_command_option_setting_and_exit_code() -> None:
    page = manual().replace("\\-", "-")
    for words, command in COMMANDS.items():
        assert f'.SS "{words} ' in page
        for param in command.params:
            assert all(name in page for name in param.opts if name.startswith("--"))
    assert all(f"{name}: " in page for name in setting_names())
    assert all(f".B {code}\n" in page for code, _, _ in errors.EXIT_CODES)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_of_each_command_has_examples_that_the_command_line_takes(words: str) -> None:
    found = list(examples(laid_out(COMMANDS[words].help)))
    assert any(" ".join(["flowvigil", *call]).startswith(words) for call in found), "no example of its own"
    for call in found:
        take(call)


def test_an_example_that_is_wrong_would_be_found() -> None:
    assert list(examples("sudo flowvigil watch -i a 2>x | jq 'a | b' && flowvigil read b  # c")) == [
        ["watch", "-i", "a", "2"],
        ["read", "b"],
    ]
    with pytest.raises(Exception, match="No such option"):
        COMMANDS["flowvigil read"].make_context("flowvigil", ["x", "--nothing"])


def test_every_exit_code_is_in_the_help_and_has_its_proof() -> None:
    codes = [code for code, _, _ in errors.EXIT_CODES]
    assert codes == sorted(PROVEN)
    assert all(f"{code} {word}" in EPILOG for code, word, _ in errors.EXIT_CODES)
    for code, (file, name) in PROVEN.items():
        source = (TESTS / file).read_text(encoding="utf-8")
        proof = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name)
        text = ast.get_source_segment(source, proof) or ""
        assert re.search(rf"\b{code}\b", text.partition("\n")[2]), f"{name} does not look at {code}"


def test_a_fault_of_the_program_is_one_line_and_exit_code_1() -> None:
    program = """
import sys, sensor.cli, sensor.settings.config
def broken(*_): raise ZeroDivisionError("\\x1b[2J")
sensor.settings.config.effective_config = broken
sys.argv = ["flowvigil", "config", "show"]
sensor.cli.main()
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=surroundings(), check=False
    )
    assert run.returncode == 1
    assert run.stderr == (
        "flowvigil: internal error: ZeroDivisionError: \\x1b[2J (FLOWVIGIL_TRACEBACK=1 shows where)\n"
    )
