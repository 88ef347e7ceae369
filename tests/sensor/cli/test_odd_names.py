"""Files and directories whose names are no UTF-8: commands take them as any others, and what they write is UTF-8."""

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
