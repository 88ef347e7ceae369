"""A recipe for several networks: read, and one line with file, line and column for whatever is wrong in it."""

from pathlib import Path

import pytest

from sensor.settings.config import Config
from tests.support.recipes import RECIPE
from training.errors import RecipeError
from training.networks_recipe import GeneratorSource, NetworksRecipe
from training.recipe import read_recipe

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "training" / "default.yaml"


def written(tmp_path: Path, old: str = "", new: str = "") -> Path:
    assert not old or RECIPE.count(old) == 1, f"{old!r} no longer marks one place"
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.replace(old, new) if old else RECIPE, encoding="utf-8")
    return path


def test_the_shipped_recipe_reads() -> None:
    recipe, text = read_recipe(SHIPPED)
    assert isinstance(recipe, NetworksRecipe)
    assert recipe.rates[0] == Config().detection.false_positive_rate
    assert {source.kind for source in recipe.captures} == {"lab", "index", "generator", "table"}
    assert text == SHIPPED.read_text(encoding="utf-8")


def test_columns_are_those_of_records_and_context_without_fingerprints(tmp_path: Path) -> None:
    recipe, _ = read_recipe(written(tmp_path))
    assert isinstance(recipe, NetworksRecipe)
    assert {"fwd_bytes", "src_flows_10m"} <= set(recipe.columns)
    assert not {"fwd_init_win_bytes", "pair_open_day"} & set(recipe.columns)
    bare, _ = read_recipe(written(tmp_path, "context: true", "context: false"))
    assert isinstance(bare, NetworksRecipe)
    assert "src_flows_10m" not in bare.columns


def test_fits_of_folds_are_lighter_where_the_recipe_says_so(tmp_path: Path) -> None:
    recipe, _ = read_recipe(written(tmp_path))
    assert isinstance(recipe, NetworksRecipe)
    lighter = recipe.lighter()
    assert (lighter.random_forest.trees, lighter.lstm.epochs) == (4, 1)
    assert lighter.lstm.network_steps == recipe.lstm.network_steps
    assert isinstance(recipe.captures[2], GeneratorSource)


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("kind: lab", "kind: lap", "{name: sites", "captures.0"),
        ("path: others", "path: others, colour: red", "colour", 'unknown key "captures.1.colour"'),
        ("path: others, ", "", "{name: others", "captures.1.path: is missing"),
        ("name: made,", "name: Made,", "Made,", "captures.2.name"),
        ("seeds: [5]", "seeds: [-5]", "-5]", "captures.2.seeds.0"),
        ("seeds: [5]", "seeds: []", "[], ", "captures.2.seeds"),
        ("name: made,", "name: others,", "- {name: sites", "captures: found the names sites, others, others, sample"),
        ("whole: attack", "whole: guess", "guess", "whole"),
        ("whole: attack", "whole: [PortScan, Scan]", "[PortScan", "whole: 'Scan' is no family"),
        ("whole: attack", "whole: [BENIGN]", "[BENIGN", "whole: 'BENIGN' is no family"),
        ("classes: {DoS: PortScan}", "classes: {DoS: Scan}", "{Do", "classes: 'Scan' is no family"),
        ("classes: {DoS: PortScan}", "classes: {Dos: null}", "{Do", "classes: 'Dos' is no family"),
        ("classes: {DoS: PortScan}", "classes: {DoS: BENIGN}", "{Do", "classes: 'BENIGN' is no family"),
        ("[pair_open_day]", "[dst_port]", "[dst_port]", "without: 'dst_port' is no column that a model may use"),
        ("reports: all", "reports: some", "some", "reports"),
        ("networks: 0.7, least: 20, classes", "networks: 1.7, least: 20, classes", "1.7", "balance.networks"),
        ("normal: 0.5}", "normal: 1.0}", "1.0}", "balance.normal"),
        ("context_drop: 0.3", "context_drop: often", "often", "augment.context_drop"),
        ("vote: {lstm: 1, random_forest: 2}", "vote: {lstm: 0, random_forest: 0}", "{lstm: 0", "both weights are 0"),
        ("vote: {lstm: 1,", "vote: {lstm: 1, by_class: perhaps,", "perhaps", "vote.by_class"),
        ("folds: {groups: 2", "folds: {calibrate: 1, groups: 2", "1, groups", "folds.calibrate"),
        ("sample: 64", "sample: 640", "{trees: 10", "640 rows a tree of 500"),
        ("folds: {groups: 2", "folds: {groups: 0", "0, trees: 4", "folds.groups"),
        ("seed: 3", "seed: 3\nspeed: 4", "speed", 'unknown key "speed"'),
        ("captures:\n", "captures: []\nothers:\n", "[]", "captures"),
    ],
)
def test_a_wrong_setting_is_named_with_line_and_column(
    tmp_path: Path, old: str, new: str, needle: str, problem: str
) -> None:
    path = written(tmp_path, old, new)
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    text = path.read_text(encoding="utf-8").splitlines()
    assert error.value.line is not None
    assert isinstance(error.value.column, int)
    if needle:
        assert text[error.value.line - 1][error.value.column - 1 :].startswith(needle)


def test_a_vote_by_class_takes_a_forest_that_says_what(tmp_path: Path) -> None:
    path = written(tmp_path, "vote: {lstm: 1,", "vote: {by_class: true, lstm: 1,")
    recipe, _ = read_recipe(path)
    assert isinstance(recipe, NetworksRecipe)
    assert recipe.vote.by_class
    path.write_text(path.read_text().replace("names: true", "names: false"))
    with pytest.raises(RecipeError, match="vote by_class takes classes of every member"):
        read_recipe(path)


def test_crossed_fits_of_folds_are_as_many_as_the_recipe_says(tmp_path: Path) -> None:
    crossed = RECIPE.replace("calibrate: {", "calibrate: {folds: 5, ")
    for text, folds in ((RECIPE, None), (crossed, 5), (crossed.replace("folds: {g", "folds: {calibrate: 3, g"), 3)):
        (tmp_path / "small.yaml").write_text(text)
        recipe, _ = read_recipe(tmp_path / "small.yaml")
        assert isinstance(recipe, NetworksRecipe)
        assert recipe.lighter().calibrate.folds == folds


def test_tables_alone_are_no_captures(tmp_path: Path) -> None:
    lines = [line for line in RECIPE.splitlines() if "kind: " not in line or "kind: table" in line]
    (tmp_path / "small.yaml").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecipeError, match=r"small\.yaml:4:3: captures: found tables alone"):
        read_recipe(tmp_path / "small.yaml")


def many_times(depth: int) -> str:
    """Few lines that aliases make nine to the power of the depth."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, depth)]
    return "\n".join([*lines, f"captures: *a{depth - 1}"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("captures: " + "[" * 20_000, "hostile.yaml:1:18: nested too deeply"),
        ("captures: " + "[" * 20_000 + "]" * 20_000, "hostile.yaml:1:18: nested too deeply"),
        ("captures: &a [*a]", "hostile.yaml:1:11: the anchor &a, expected a plain value"),
        (many_times(12), "hostile.yaml:1:5: the anchor &a0, expected a plain value"),
        ("? [a, b]\n: 1\ncaptures: []", "hostile.yaml:1:3: a list as a name"),
        ("captures: 2026-99-99", "holds a date or a number that cannot be"),
        ("captures: " + "9" * 5000, "hostile.yaml:1:11: a number of 5,000 characters"),
        ("captures: 1" + ":1" * 5000, "hostile.yaml:1:11: a number of 10,001 characters"),
        ("captures: []\n<<: {captures: 1}", "hostile.yaml:2:1: a merge key"),
        ("captures: " + "x" * (1 << 17), "longer than 131,072 bytes"),
        (
            "captures: !!python/object:os.system x",
            "hostile.yaml:1:11: the tag tag:yaml.org,2002:python/object:os.system, expected",
        ),
        ("captures: \x00", "hostile.yaml:1:11: character 0x00"),
        ("[]", "hostile.yaml:1:1: expected a YAML recipe of lines such as `name: value`"),
        ("", "hostile.yaml:1:1: expected a YAML recipe of lines such as `name: value`"),
        ("captures: 7", "hostile.yaml:1:1: name: is missing"),
    ],
)
def test_a_hostile_recipe_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    assert problem in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 600
