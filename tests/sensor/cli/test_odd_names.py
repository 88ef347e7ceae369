"""Files and directories whose names are no UTF-8: commands take them as any others, and what they write is UTF-8."""

import ast
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from sensor.cli.baseline import _about
from sensor.cli.build import bundle_path, load_model
from sensor.errors import OK
from sensor.settings.config import Config
from tests.support.command import DEMO, flowvigil
from tests.support.evaluations import as_csv, table
from tests.support.served import served

pytestmark = [
    pytest.mark.takes(15),
    pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone"),
]
REPOSITORY = Path(__file__).parents[3]
ODD = os.fsdecode(b"odd\xff\x9b")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of such a name, with a bundle, a capture and a labelled table in it."""
    directory = tmp_path_factory.mktemp("names") / ODD
    directory.mkdir()
    shutil.copytree(bundle_path(None).parent / "cic2017", directory / f"bundle{ODD}")
    shutil.copy(DEMO, directory / f"{ODD}.pcap.gz")
    yield directory
    shutil.rmtree(directory)


def config_of(place: Path) -> Config:
    return Config.model_validate({"detection": {"bundle": place / f"bundle{ODD}"}})


@pytest.mark.parametrize(
    "command",
    [
        ("read", "CAPTURE", "-m", "BUNDLE"),
        ("read", "CAPTURE", "-m", "BUNDLE", "--independent"),
        ("check", "--json", "-m", "BUNDLE"),
        ("report", "CAPTURE", "-m", "BUNDLE", "-o", "PAGE"),
        ("evaluate", "BUNDLE", "TABLE", "--json"),
        ("explore", "TABLE", "-o", "PAGE", "--json"),
    ],
    ids=lambda command: command[0],
)
def test_commands_take_names_that_are_no_utf_8(command: tuple[str, ...], place: Path) -> None:
    named = {
        "CAPTURE": place / f"{ODD}.pcap.gz",
        "BUNDLE": place / f"bundle{ODD}",
        "TABLE": place / f"{ODD}.csv",
        "PAGE": place / f"{ODD}.html",
    }
    if "TABLE" in command:
        for package in ("polars", "sklearn", "matplotlib", "jinja2"):
            pytest.importorskip(package)
        as_csv(table(seed=8), named["TABLE"])
    done = flowvigil(*(named.get(word, word) for word in command))
    assert done.code == OK, done.stderr
    for line in done.stdout.splitlines() if command[0] != "evaluate" else [done.stdout]:
        assert orjson.loads(line)  # it refuses halves of characters, which others let pass


def test_the_api_serves_a_bundle_of_such_a_name(place: Path) -> None:
    with served("-m", place / f"bundle{ODD}") as server:
        assert server.ask("GET", "/v1/model").document["id"] == load_model(config_of(place)).model_id


def test_a_baseline_names_its_sources_in_utf_8() -> None:
    class Learnt:
        """What is asked of what was learnt."""

        class site:  # noqa: N801
            """Its site."""

            alerts_per_day, expected_alerts_per_day = 1.0, (0.0, 1.0, 2.0)

    about = _about(load_model(Config()), [f"/{ODD}/{ODD}.pcap"], Learnt())  # type: ignore[arg-type]
    assert about["site"]["sources"] == ["odd\\udcff\\udc9b.pcap"]


ENDLESS = "n" * 300  # longer than a name may be: whoever asks the system about it gets an error
COMMANDS_WITH_NAMES = (
    "read NAME",
    "read DEMO -m NAME",
    "read DEMO -c NAME",
    "read DEMO -o NAME",
    "read DEMO --site NAME",
    "read DEMO --flows NAME",
    "read DEMO --keep-packets NAME",
    "flows NAME",
    "flows NAME --where dport:1",
    "report NAME -o x.html",
    "report DEMO -o NAME",
    "alerts search x NAME",
    "alerts search NAME NAME",
    "alerts show NAME NAME",
    "alerts tail -f NAME",
    "alerts mark QEYE --true --why x --site NAME NAME",
    "model show NAME",
    "model list NAME",
    "config check NAME",
    "explore NAME -o x.html",
    "evaluate default NAME",
    "evaluate NAME x.csv",
    "evaluate default NAME --protocol networks",
    "train NAME -o x",
    "baseline default NAME -o x",
    "baseline default DEMO -o NAME",
    "rehearse NAME",
    "promote x --over NAME",
    "promote --rollback NAME",
    "lab check NAME",
    "watch --attach NAME",
    "serve -m NAME",
    "serve --token-file NAME",
    "serve --listen unix:NAME",
    "NAME",
)


@pytest.mark.parametrize("command", COMMANDS_WITH_NAMES)
def test_a_name_that_the_system_refuses_is_told_as_what_it_was_meant_for(command: str) -> None:
    named = {"NAME": ENDLESS, "unix:NAME": f"unix:{ENDLESS}", "DEMO": DEMO}
    result = flowvigil(*(named.get(word, word) for word in command.split()))
    said = " ".join((*result.stderr, result.stdout.decode()))
    assert result.code not in (0, 1), said
    assert "internal error" not in said
    assert ENDLESS[:60] in said.replace("...", "") or command == "config check NAME", said


def test_nobody_asks_about_a_path_by_a_method_that_raises() -> None:
    """Path.exists() and its like raise where one may not look; those of os.path say that nothing is there."""
    asked = [
        f"{path}:{node.lineno}"
        for room in ("sensor", "training", "models", "flows", "configs", "kernels")
        for path in sorted((REPOSITORY / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and not node.args and not node.keywords and isinstance(node.func, ast.Attribute)
        if node.func.attr in {"exists", "is_dir", "is_file", "is_symlink", "is_socket"}
    ]
    assert asked == []
