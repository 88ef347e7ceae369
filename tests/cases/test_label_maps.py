"""Labels of somebody's own files, read by a map: what it changes is told and recorded, and a map that lies is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.dialects import NATIVE, V4
from sensor.cli.evaluate import evaluate
from sensor.cli.explore import explore
from sensor.cli.labels import label_map
from sensor.cli.train import train
from sensor.errors import ConfigError, InputError
from tests.support.evaluations import quiet
from tests.support.flow_files import lines, many_shapes, rewritten, written
from tests.support.kdd_tables import as_kdd_text, kdd_table, recipe_text
from tests.training.kdd_lines import records
from tests.training.kdd_lines import written as kdd_written
from training.datasets.collection import read_dataset
from training.datasets.kdd import read_kdd
from training.datasets.packed import sha256_of
from training.datasets.table import FlowTable
from training.errors import DatasetError, LabelMapError
from training.label_map import DROP, LabelMap, MappedLabel
from training.labels import CIC_FAMILIES, CIC_VOCABULARY, KDD_ATTACKS, NORMAL

for package in ("polars", "sklearn", "scipy", "matplotlib", "jinja2"):
    pytest.importorskip(package)

Map = dict[str, str]
KDD_LABELS = (NORMAL, *(attack.name for attack in KDD_ATTACKS))
# As a row of a table differs in nothing but its label; both are told of the map itself.
OF_THE_MAP = ("repairs", "label_map", "sha256")


def mapped(pairs: Map) -> LabelMap:
    return LabelMap(
        "map.yaml", "0" * 64, tuple(MappedLabel(*pair, f"map.yaml:{i}:1") for i, pair in enumerate(pairs.items(), 1))
    )


def in_file(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def yaml_of(path: Path, pairs: Map) -> Path:
    return in_file(path, *(f"{json.dumps(label)}: {json.dumps(target)}" for label, target in pairs.items()))


def flows(path: Path, labels: list[str]) -> Path:
    """Flows of many shapes, one label after the other."""
    source = path.parent / "plain"
    source.mkdir(exist_ok=True)
    rows = lines(written(source, many_shapes(), V4))
    return rewritten(path, [rows[0], *([*row[:-1], labels[i % len(labels)]] for i, row in enumerate(rows[1:]))])


def read(path: Path, pairs: Map | None = None) -> tuple[FlowTable, list[str]]:
    told: list[str] = []
    return read_dataset(path, told.append, None if pairs is None else mapped(pairs)), told


def explored(
    dataset: Path, page: Path, capsys: pytest.CaptureFixture[str], labels: Path | None = None
) -> dict[str, Any]:
    explore(dataset, page, as_json=True, labels=labels)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(sorted(CIC_FAMILIES)), min_size=1, max_size=12, unique=True), data=st.data())
def test_renamed_labels_read_by_their_map_give_the_table_of_the_plain_ones(
    chosen: list[str], data: st.DataObject, tmp_path: Path
) -> None:
    """A map is nothing but another spelling: values, labels, families, order and repairs are the same."""
    spelled = [data.draw(st.sampled_from((f"own {i}", f"OWN  {i}", f" Own {i} "))) for i in range(len(chosen))]
    plain, _ = read(flows(tmp_path / "plain.csv", chosen))
    own, told = read(flows(tmp_path / "own.csv", spelled), {f"own {i}": label for i, label in enumerate(chosen)})
    assert (own.values == plain.values).all()
    for name in ("host", "start_ns", "end_ns", "label", "family", "day", "dst_port"):
        assert (getattr(own, name) == getattr(plain, name)).all()
    effects = {f"rows labelled 'own {i}' read as {label!r}" for i, label in enumerate(chosen)}
    assert {reason: n for reason, n in own.repairs.items() if reason not in effects} == plain.repairs
    assert sum(own.repairs[effect] for effect in effects) == own.repairs["rows"]
    assert not any("no row is labelled" in line for line in told)


def test_explore_says_the_same_of_renamed_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["BENIGN", "DoS Hulk", "PortScan", "Bot"]
    plain = explored(flows(tmp_path / "flows.csv", labels), tmp_path / "x.html", capsys)
    names = {f"their {label}": label for label in labels}
    renamed = flows(tmp_path / "flows.csv", list(names))
    own = explored(renamed, tmp_path / "y.html", capsys, yaml_of(tmp_path / "map.yaml", names))
    assert own["label_map"]["labels"] == names
    assert {key: value for key, value in own.items() if key not in OF_THE_MAP} == {
        key: value for key, value in plain.items() if key not in OF_THE_MAP
    }
    assert "map.yaml, sha256" in (tmp_path / "y.html").read_text(encoding="utf-8")
    assert f"--labels {tmp_path / 'map.yaml'} -o" in (tmp_path / "y.html").read_text(encoding="utf-8")


def test_explore_says_the_same_of_renamed_kdd_attacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {f"Their.{label}.": label for label in KDD_LABELS}
    plain = explored(kdd_written(tmp_path / "kdd.txt", records([*KDD_LABELS] * 4)), tmp_path / "x.html", capsys)
    renamed = kdd_written(tmp_path / "kdd.txt", records([label.upper() for label in names] * 4))
    own = explored(renamed, tmp_path / "y.html", capsys, yaml_of(tmp_path / "map.yaml", names))
    assert {key: value for key, value in own.items() if key not in OF_THE_MAP} == {
        key: value for key, value in plain.items() if key not in OF_THE_MAP
    }


def test_a_label_may_become_a_family_or_be_dropped_and_each_is_told_with_its_rows(tmp_path: Path) -> None:
    """A family is the finest class that many own labels have; dropped rows are counted, as all that is left out."""
    path = flows(tmp_path / "own.csv", ["ok", "Guesses ", "noise"])
    table, told = read(path, {"ok": "benign", "guesses": "bruteforce", "noise": "Drop"})
    n = table.repairs["rows"]
    counts = {label: len(range(i, n, 3)) for i, label in enumerate(("ok", "guesses", "noise"))}
    assert set(zip(table.label.tolist(), table.family.tolist(), strict=True)) == {
        ("benign", "BENIGN"),
        ("BruteForce", "BruteForce"),
    }
    assert len(table) == n - counts["noise"] - table.repairs["rows of protocol 0, left out"]
    assert [line for line in told if line.startswith("map.yaml")] == [
        f"map.yaml: {counts['ok']:,} rows labelled 'ok' read as 'benign'",
        f"map.yaml: {counts['guesses']:,} rows labelled 'guesses' read as 'BruteForce'",
        f"map.yaml: {counts['noise']:,} rows labelled 'noise' dropped",
    ]


def test_an_attack_called_benign_is_allowed_and_said(tmp_path: Path) -> None:
    """Who maps so may have reasons; the vocabulary's own class stands beside it, so that nobody does it unseen."""
    path = flows(tmp_path / "own.csv", ["BENIGN", "DoS Hulk"])
    table, told = read(path, {"DoS Hulk": "BENIGN", "BENIGN": "benign", "ghost": "DoS"})
    assert set(table.family) == {"BENIGN"}
    assert sum("though the vocabulary knows this label, as DoS" in line for line in told) == 1
    assert "though" not in next(line for line in told if "'BENIGN' read as 'benign'" in line)
    assert told[-1] == "map.yaml: no row is labelled 'ghost'"


def test_rows_without_a_label_can_be_mapped_and_files_without_labels_stay_so(tmp_path: Path) -> None:
    path = flows(tmp_path / "own.csv", ["", "PortScan"])
    table, _ = read(path, {"": "BENIGN"})
    assert set(table.family) == {"BENIGN", "PortScan"}
    unlabelled, _ = read(written(tmp_path, many_shapes(), NATIVE), {"": "BENIGN"})
    assert set(unlabelled.family) == {""}


def test_the_map_has_no_part_in_labels_it_does_not_name(tmp_path: Path) -> None:
    """An attempted attack is one of its own label: mapping the attack says nothing of it."""
    path = flows(tmp_path / "own.csv", ["BENIGN", "DoS Hulk", "DoS Hulk - Attempted"])
    table, _ = read(path, {"DoS Hulk": "DDoS"})
    assert set(table.family) == {"BENIGN", "DDoS"}
    assert table.repairs["rows of attempted attacks, left out"] > 0


def test_a_map_that_drops_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="all dropped by the map of labels; expected some to stay"):
        read(flows(tmp_path / "own.csv", ["noise"]), {"noise": DROP})
    path = kdd_written(tmp_path / "kdd.txt", records(["noise"] * 3))
    with pytest.raises(DatasetError, match="has 3 records, all dropped by the map of labels; expected some to stay"):
        read_kdd(path, quiet, mapped({"noise": DROP}))


@pytest.mark.parametrize("kind", ["flows", "kdd"])
def test_an_unknown_label_is_told_how_it_can_be_read_in_two_lines_of_a_file(kind: str, tmp_path: Path) -> None:
    """What the message shows is a file that works, once its labels are those of the data."""
    own = ["my-scan", "my-noise"]
    rows = records(own * 3)
    path = flows(tmp_path / "own.csv", own) if kind == "flows" else kdd_written(tmp_path / "kdd.txt", rows)
    with pytest.raises(InputError, match="'my-scan'; known are ") as error:
        explore(path, tmp_path / "x.html")
    assert "\n" not in str(error.value)
    assert error.value.detail[0].startswith("--labels map.yaml reads others")
    example = in_file(tmp_path / "map.yaml", *(line.strip() for line in error.value.detail[1:]))
    explore(path, tmp_path / "x.html", labels=example)


def test_a_label_that_the_map_lacks_is_told_with_the_map(tmp_path: Path) -> None:
    path = flows(tmp_path / "own.csv", ["ok", "scan"])
    with pytest.raises(InputError, match=r"unknown label 'scan', which map\.yaml does not have either; known are"):
        explore(path, tmp_path / "x.html", labels=in_file(tmp_path / "map.yaml", "ok: BENIGN"))


BOMB = ["a: &a [x, x]", *(f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))]
LIES: dict[str, tuple[list[str], str]] = {
    "a list": (["- ok", "- scan"], "map.yaml:1:1: the file is a list, expected pairs"),
    "plain text": (["BENIGN"], "map.yaml:1:1: the file is a plain value, expected pairs"),
    "nothing": ([], "map.yaml: is empty, expected a map of labels"),
    "no YAML": (["ok: [BENIGN"], "map.yaml:2:1: "),
    "nested": (["BENIGN:", "  - ok"], "map.yaml:2:3: a list, expected plain text"),
    "a truth value": (["ok: BENIGN", "no: BENIGN"], 'map.yaml:2:1: no, which readers.*"no" in quotes'),
    "a date": (["2017-07-03: BENIGN"], "map.yaml:1:1: 2017-07-03, which readers of YAML take for a date"),
    "null": (["ok:"], "map.yaml:1:4: nothing, which readers of YAML take for null"),
    "an octal": (["010: BENIGN"], "map.yaml:1:1: 010, which readers of YAML take for a number"),
    "a list as a label": (["? [a, b]", ": BENIGN"], "map.yaml:1:3: a list as a name"),
    "foreign target": (["ok: BENIGN", "scan: Ransomware"], "map.yaml:2:1: 'scan' is mapped to 'Ransomware'; expected"),
    "a family of KDD": (["ok: BENIGN", "scan: Probe"], "map.yaml:2:1: 'scan' is mapped to 'Probe'"),
    "one label, two ways": (
        ["Ok scan: DoS", "ok  SCAN: BENIGN"],
        "map.yaml:2:1: 'ok  SCAN' is read as BENIGN, 'Ok scan' of .*map.yaml:1:1 as DoS",
    ),
    "twice": (["ok: BENIGN", "ok: BENIGN"], 'map.yaml:2:1: "ok" a second time'),
    "aliases": (BOMB, "map.yaml:1:4: the anchor &a"),
    "a merge": (["<<: {ok: BENIGN}"], "map.yaml:1:1: a merge key"),
    "a tag": (["ok: !!python/object:os.system BENIGN"], "map.yaml:1:5: the tag"),
    "two documents": (["ok: BENIGN", "---", "scan: DoS"], "map.yaml:2:1: "),
    "deep": (["{" * 5000], "map.yaml:1:"),
    "huge": ([f"label {i}: DoS" for i in range(10_000)], "map.yaml: longer than 65,536 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_map_that_lies_is_named_with_its_place_and_no_page_is_written(name: str, tmp_path: Path) -> None:
    rows, message = LIES[name]
    with pytest.raises(ConfigError, match=message) as error:
        explore(
            flows(tmp_path / "own.csv", ["ok", "scan"]),
            tmp_path / "x.html",
            labels=in_file(tmp_path / "map.yaml", *rows),
        )
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    assert not (tmp_path / "x.html").exists()


def test_a_target_that_is_unknown_is_told_with_the_vocabulary(tmp_path: Path) -> None:
    wrong = in_file(tmp_path / "map.yaml", "ok: Ransomware")
    with pytest.raises(ConfigError, match=r"a family \(BENIGN, BruteForce, .*\), or a known label") as error:
        explore(flows(tmp_path / "own.csv", ["ok"]), tmp_path / "x.html", labels=wrong)
    assert error.value.detail == (f"known labels: {CIC_VOCABULARY.listed}",)


def test_numbers_and_quoted_words_of_yaml_are_labels(tmp_path: Path) -> None:
    """Many own files say 0 and 1; all readers of YAML agree on those, and quotes make text of the rest."""
    found = label_map(in_file(tmp_path / "map.yaml", "0: BENIGN", "1: DoS", '"no": BENIGN', "'2017-07-03': drop"))
    assert found is not None
    assert [(line.label, line.target) for line in found.lines] == [
        ("0", "BENIGN"), ("1", "DoS"), ("no", "BENIGN"), ("2017-07-03", "drop"),
    ]  # fmt: skip
    table, _ = read(flows(tmp_path / "own.csv", ["0", "1"]), {"0": "BENIGN", "1": "DoS"})
    assert set(table.family) == {"BENIGN", "DoS"}


def test_a_map_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file or directory, expected a map of labels"):
        label_map(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a directory"):
        label_map(tmp_path)
    (tmp_path / "map.yaml").write_bytes(b"ok: \xff\n")
    with pytest.raises(ConfigError, match=r"map.yaml:1: byte 0xff is not UTF-8, expected a map of labels"):
        label_map(tmp_path / "map.yaml")


def test_a_hostile_label_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = "a\x1b[31m\u202e<b>"
    path = flows(tmp_path / "own.csv", ["BENIGN", label])
    explore(path, tmp_path / "x.html", as_json=True, labels=yaml_of(tmp_path / "map.yaml", {label: "DoS"}))
    told = capsys.readouterr()
    assert not {"\x1b", "\u202e"} & set(told.out + told.err)
    assert not {"\x1b", "\u202e"} & set((tmp_path / "x.html").read_text(encoding="utf-8"))


# Training and evaluation


NAMES = {
    "quiet": "normal",
    "flood": "neptune",
    "urls": "back",
    "looks": "satan",
    "guesses": "guess_passwd",
    "root": "rootkit",
}


def renamed(path: Path) -> Path:
    """The file with each attack under its name in NAMES."""
    own = {label: name for name, label in NAMES.items()}
    rows = [line.rpartition(",") for line in path.read_text(encoding="utf-8").splitlines()]
    return in_file(path, *(f"{cells},{own[label]}" for cells, _, label in rows))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of own labels, their map, and the bundle that was fitted on the first."""
    directory = tmp_path_factory.mktemp("kdd")
    digest = sha256_of(renamed(as_kdd_text(kdd_table(), directory / "train.txt")))
    in_file(directory / "small.yaml", recipe_text(digest))
    renamed(as_kdd_text(kdd_table(seed=2), directory / "test.txt"))
    yaml_of(directory / "map.yaml", NAMES)
    train(directory / "small.yaml", directory / "bundle", directory, labels=directory / "map.yaml")
    return directory


def evaluated(made: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    evaluate(made / "bundle", options.pop("dataset", made / "test.txt"), as_json=True, **options)
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_the_bundle_of_renamed_labels_is_that_of_the_plain_ones_and_keeps_the_map(made: Path, tmp_path: Path) -> None:
    digest = sha256_of(as_kdd_text(kdd_table(), tmp_path / "train.txt"))
    train(in_file(tmp_path / "small.yaml", recipe_text(digest)), tmp_path / "bundle", tmp_path)
    for name in ("weights.safetensors", "baselines.safetensors"):
        assert (tmp_path / "bundle" / name).read_bytes() == (made / "bundle" / name).read_bytes()
    about = json.loads((made / "bundle" / "manifest.json").read_text(encoding="utf-8"))["about"]
    record = {"file": "map.yaml", "sha256": sha256_of(made / "map.yaml"), "labels": NAMES}
    assert about["dataset"]["label_map"] == record
    assert about["dataset"]["repairs"]["rows labelled 'flood' read as 'neptune'"] == 120
    assert about["made_by"] == "flowvigil train small.yaml --labels map.yaml"
    plain = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))["about"]
    assert "label_map" not in plain["dataset"]
    assert plain["dataset"]["rows"] == about["dataset"]["rows"]


def test_an_evaluation_records_the_map_and_reads_the_training_file_by_the_bundles_own(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file that was fitted on has own labels too: only the bundle knows how they were read."""
    page = tmp_path / "x.html"
    content = evaluated(made, capsys, labels=made / "map.yaml", output=page)
    assert content["dataset"]["label_map"]["labels"] == NAMES
    assert content["records"]["also_in_training"] is not None
    assert content["records"]["novel"] == {}
    text = page.read_text(encoding="utf-8")
    assert "map.yaml, sha256" in text
    assert f"--labels {made / 'map.yaml'} -o" in text
    plain = evaluated(made, capsys, dataset=as_kdd_text(kdd_table(seed=2), tmp_path / "test.txt"), data=made)
    assert plain["members"] == content["members"]
    assert plain["records"] == content["records"]


def test_nobody_knows_what_is_new_to_a_fit_where_labels_are_families(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {**NAMES, "flood": "DoS", "urls": "DoS"}
    content = evaluated(made, capsys, labels=yaml_of(tmp_path / "map.yaml", names))
    assert content["records"]["novel"] is None
    assert content["records"]["labels"]["DoS"] == 180


@pytest.mark.parametrize("record", ["text", {"labels": []}, {"labels": {"flood": "Nonsense"}}])
def test_a_bundle_whose_map_is_damaged_is_refused(made: Path, record: object) -> None:
    from models.bundle import BundleError
    from training.evaluation.kdd import _read_as_fitted

    with pytest.raises(BundleError, match="the bundle's map of labels: "):
        _read_as_fitted(made / "train.txt", {"label_map": record}, quiet)


def test_all_benign_is_refused_as_one_class_is(made: Path, tmp_path: Path) -> None:
    everything = yaml_of(tmp_path / "map.yaml", dict.fromkeys(NAMES, "normal"))
    with pytest.raises(InputError, match="attack family"):
        train(made / "small.yaml", tmp_path / "bundle", made, labels=everything)
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(InputError, match="has records of BENIGN only"):
        evaluate(made / "bundle", made / "test.txt", labels=everything)


def test_all_benign_flows_are_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from tests.cases.test_public_data import RANDOM_RECIPE, small
    from training.train import train as run

    path = flows(tmp_path / "own.csv", ["ok", "scan"])
    told: list[str] = []
    with pytest.raises(DatasetError, match="has a single class, BENIGN"):
        run(
            small(RANDOM_RECIPE, path, tmp_path),
            tmp_path,
            tmp_path / "bundle",
            told.append,
            mapped({"ok": "BENIGN", "scan": "benign"}),
        )
    assert not (tmp_path / "bundle").exists()


def test_a_split_of_the_same_file_read_by_another_map_is_another_split() -> None:
    """Rows are drawn label by label: by other labels, rows that were fitted on would be judged as if they were not."""
    from tests.support.evaluations import hybrid, table
    from training.evaluation.protocols import own_split

    whole = table()
    recipe = (Path(__file__).resolve().parents[2] / "configs" / "training" / "cic2017-random.yaml").read_text(
        encoding="utf-8"
    )
    given = mapped({"x": "DoS"})
    plain, by_map = (
        replace(hybrid(whole), about={"recipe": recipe, "dataset": {"sha256": whole.sha256, **extra}})
        for extra in ({}, {"label_map": given.record()})
    )
    assert own_split(plain, whole) is not None
    assert own_split(by_map, whole) is None
    assert own_split(by_map, replace(whole, label_map=given)) is not None
    assert own_split(by_map, replace(whole, label_map=mapped({"x": "DDoS"}))) is None
    assert own_split(plain, replace(whole, label_map=given)) is None


def test_a_fit_that_was_broken_off_is_not_taken_over_by_a_run_with_another_map() -> None:
    from tests.support.evaluations import table
    from training.train import _dataset_key

    whole = table()
    maps = (None, mapped({"x": "DoS"}), mapped({"x": "DDoS"}))
    assert len({_dataset_key(replace(whole, label_map=one)) for one in maps}) == 3


def test_a_map_stays_with_the_rows_that_are_taken(tmp_path: Path) -> None:
    import numpy as np

    table, _ = read(flows(tmp_path / "own.csv", ["ok", "PortScan"]), {"ok": "BENIGN"})
    assert table.take(np.arange(3)).label_map == mapped({"ok": "BENIGN"})


def test_a_target_is_held_against_the_vocabulary_of_the_files(tmp_path: Path) -> None:
    """BENIGN is no name of NSL-KDD's: its map says normal, and the message lists what it may say."""
    path = kdd_written(tmp_path / "kdd.txt", records(["ok", "neptune"]))
    with pytest.raises(
        LabelMapError, match=r"'ok' is mapped to 'BENIGN'; expected drop, a family \(DoS, Probe, R2L, U2R\)"
    ) as error:
        read_kdd(path, quiet, mapped({"ok": "BENIGN"}))
    assert "normal, anomaly, back" in error.value.detail[0]


@pytest.mark.parametrize("command", ["explore", "train", "evaluate"])
def test_the_option_is_in_the_help_with_an_example(command: str) -> None:
    from tests.support.command import flowvigil

    result = flowvigil(command, "--help")
    assert result.code == 0
    assert b"--labels" in result.stdout
    assert b"--labels map.yaml" in result.stdout
