"""flowvigil train: what an operator's files get wrong becomes the documented exit code."""

from pathlib import Path

import pytest

from sensor.cli.train import train
from sensor.errors import ConfigError, InputError

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "training" / "cic2017.yaml"


@pytest.fixture(autouse=True)
def needs_the_train_extra() -> None:
    for package in ("polars", "sklearn", "tensorflow"):
        pytest.importorskip(package)


def test_a_bad_recipe_is_a_fault_of_configuration(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("name: x\nsped: 3\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml:\d+:\d+: ") as error:
        train(recipe, tmp_path / "bundle", tmp_path)
    assert error.value.exit_code == 3


def test_a_missing_dataset_is_a_fault_of_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as error:
        train(SHIPPED, tmp_path / "bundle", tmp_path)
    assert error.value.exit_code == 6
