from pathlib import Path

import pytest

from models.bundle import MODEL_ID
from models.fusion import MAX_RATES, WEIGHTS
from models.lstm import MAX_UNITS
from models.trees import MAX_TREES
from sensor.settings.config import Config
from training.errors import RecipeError
from training.recipe import read_recipe
from training.recipe_sections import LEAST_VOICE, LONGEST_NAME, LOUDEST_VOICE, MOST_RATES, MOST_TREES, MOST_UNITS

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "training" / "cic2017.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = SHIPPED.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} no longer marks one place in the shipped recipe"
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def place(path: Path, needle: str) -> tuple[int, int]:
    """Line and column, from 1, of the text that is wrong."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if needle in line:
            return number, line.index(needle) + 1
    raise AssertionError(needle)


def test_the_shipped_recipe_reads() -> None:
    recipe, text = read_recipe(SHIPPED)
    assert recipe.fingerprints
    assert recipe.rates[0] == Config().detection.false_positive_rate
    assert text == SHIPPED.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("  chunk: ", "  chunks: 1\n  chunk: ", "chunks", 'unknown key "lstm.chunks"'),
        ("name: cic2017\n", "name: cic2017\nspeed: 3\n", "speed", 'unknown key "speed"'),
        ("  units: 64", "  units: many", "many", "found 'many'"),
        ("  shared: 24", "  shared: 0", "0", "hosts.shared"),
        ("  units: 64", "  units: 513", "513", "lstm.units: expected 512 or less, found 513"),
        ("  reset_s: 600", "  reset_s: .inf", ".inf", "hosts.reset_s: expected a number that is not infinite"),
        ("  calibrate: 2017-07-06", "  calibrate: 2017-07-05", "train: [2017", "also a day of train"),
        ("  units: 64\n", "", "chunk: ", "lstm.units: is missing"),
        ("  chunk: ", "  units: 3\n  chunk: ", "units: 3", '"units" a second time in '),
        ("  train: [", "  train: [[", "calibrate", ""),
    ],
)
def test_a_wrong_setting_is_named_with_line_and_column(
    tmp_path: Path, old: str, new: str, needle: str, problem: str
) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    assert problem in str(error.value)
    assert error.value.line is not None
    if needle != "0":
        assert (error.value.line, error.value.column) == place(path, needle)
    assert str(error.value).startswith(f"{path}:{error.value.line}:{error.value.column}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"\xff\xfe", b"a: !!python/object:os.system {}\n"])
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError):
        read_recipe(path)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        read_recipe(tmp_path / "none.yaml")


def test_its_limits_are_those_of_bundles() -> None:
    assert (MOST_UNITS, MOST_TREES, MOST_RATES) == (MAX_UNITS, MAX_TREES, MAX_RATES)
    assert (LEAST_VOICE, LOUDEST_VOICE) == WEIGHTS
    assert MODEL_ID.fullmatch("a" * LONGEST_NAME)
    assert not MODEL_ID.fullmatch("a" * (LONGEST_NAME + 1))
