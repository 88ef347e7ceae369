"""A recipe for several networks by the command line: a bundle that read takes, the page of its folds, its faults."""

import json
from pathlib import Path

import pytest

from tests.support.command import flowvigil
from tests.support.recipes import made_sources

pytestmark = [pytest.mark.train, pytest.mark.takes(60)]


@pytest.fixture(scope="module", autouse=True)
def needs_the_train_extra() -> None:
    for package in ("polars", "sklearn", "tensorflow", "matplotlib", "jinja2"):
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_sources(tmp_path_factory.mktemp("sources"))


def where(recipe: Path) -> tuple[object, ...]:
    return "--data", recipe.parent, "--lab", recipe.parent / "runs"


def test_a_bundle_of_several_networks_is_fitted_read_with_and_judged(recipe: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    result = flowvigil("train", recipe, "-o", bundle, *where(recipe))
    assert result.code == 0, result.stderr
    assert not result.stdout
    assert f"flowvigil evaluate --recipe {recipe} --protocol networks measures" in "\n".join(result.stderr)
    assert f"bundle written to {bundle}" in "\n".join(result.stderr)
    assert not (bundle / ".unfinished").exists()
    capture = recipe.parent / "runs" / "day" / "router.pcap"
    read = flowvigil("read", capture, "-m", bundle, "--json")
    assert read.code == 0, read.stderr
    alerts = [json.loads(line) for line in read.stdout.splitlines()]
    assert any("T1046" in str(alert.get("threat")) for alert in alerts)
    others = flowvigil("evaluate", bundle, recipe.parent / "others", "--protocol", "networks", "--json")
    assert others.code == 0, others.stderr
    content = json.loads(others.stdout)
    assert content["bundle"]["model_id"] == "small"
    assert content["networks"]["attacks"]["found"]["k"] > 0
    table = flowvigil("evaluate", bundle, recipe.parent / "flows.csv", "--json")
    assert table.code == 0, table.stderr


def test_the_page_of_its_folds_begins_with_episodes_and_says_how_to_get_it_again(recipe: Path, tmp_path: Path) -> None:
    page = tmp_path / "folds.html"
    result = flowvigil("evaluate", "--recipe", recipe, "--protocol", "networks", *where(recipe), "-o", page)
    assert result.code == 0, result.stderr
    text = page.read_text(encoding="utf-8")
    assert text.index("What it finds and what it costs on other networks") < text.index("Families left out")
    assert f"--recipe {recipe} --protocol networks" in text
    assert result.stdout.startswith(b"a fit for each network left out, protocol networks: ")
    assert "leaving out " in "\n".join(result.stderr)
    assert sorted(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--recipe", "RECIPE"), 2, "--recipe goes with --protocol networks"),
        (("small", "--recipe", "RECIPE", "--protocol", "networks"), 2, "--recipe goes with --protocol networks"),
        (("--recipe", "RECIPE", "--protocol", "networks", "--day", "2020-01-01"), 2, "captures have no --day"),
        (("--recipe", "nowhere.yaml", "--protocol", "networks"), 3, "nowhere.yaml: no such file"),
        (("--recipe", "RECIPE", "--protocol", "networks", "--lab", "nowhere"), 6, "source sites is not at nowhere"),
        (("small",), 2, "evaluate needs DATASET"),
        ((), 2, "evaluate needs BUNDLE"),
    ],
)
def test_what_does_not_go_together_is_one_line(recipe: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    given = [recipe if word == "RECIPE" else word for word in arguments]
    result = flowvigil("evaluate", *given)
    assert result.code == code
    assert said in "\n".join(result.stderr)
    assert len(result.stderr) == 1


def test_a_recipe_for_one_dataset_has_no_folds_of_networks() -> None:
    shipped = Path(__file__).resolve().parents[3] / "configs" / "training" / "cic2017.yaml"
    result = flowvigil("evaluate", "--recipe", shipped, "--protocol", "networks")
    assert result.code == 3
    assert "cic2017.yaml:1: is a recipe for one dataset; expected one with captures" in "\n".join(result.stderr)


def test_a_source_that_is_not_there_stops_before_anything_is_written(recipe: Path, tmp_path: Path) -> None:
    result = flowvigil("train", recipe, "-o", tmp_path / "bundle", "--data", recipe.parent, "--lab", tmp_path / "none")
    assert result.code == 6
    assert "small.yaml:4:5: source sites is not at" in "\n".join(result.stderr)
    assert not (tmp_path / "bundle").exists()
