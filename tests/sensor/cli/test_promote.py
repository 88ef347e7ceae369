"""flowvigil promote: who takes whose place, what the bundle keeps of it, and that it is never neither."""

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flows.columns import feature_contract
from flows.context.columns import context_contract
from models.bundle import load_bundle
from models.fusion import Hybrid
from sensor.cli import app, promoting
from sensor.cli.build import bundle_path
from sensor.cli.fixed_set import ATTACKING, ORDINARY, FixedSet
from sensor.cli.promoting import check_contract, put_in_place
from sensor.cli.replay import DefaultSensor
from sensor.errors import NOT_MET, InputError, ModelError, OutputError
from sensor.files.replacing import ReplacedDirectory
from sensor.settings.config import Config
from sensor.synth.catalogue import retries
from sensor.synth.scenarios.sweeps import slow_sweep
from tests.support.capture_bytes import pcap
from tests.support.command import DEMO, flowvigil
from tests.support.killed import beside, killed_after
from training.evaluation.promotion.latency import Latency

pytestmark = pytest.mark.takes(18)
KILLS = 16  # of a directory that is replaced there are sixty in tests/sensor/files


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The directory that a sensor runs on."""
    return shutil.copytree(bundle_path(None), tmp_path / "site")


@pytest.fixture
def small_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed set that is just large enough to show anything, and a machine on which both are as fast."""
    small = partial(
        FixedSet, attacks=(slow_sweep(),), normal=(retries(every_s=900.0, hours=24.0),), episodes=40, normal_seeds=8
    )
    monkeypatch.setattr(promoting, "FixedSet", small)
    monkeypatch.setattr(promoting, "_latency", lambda *_: Latency(1, 1.0, 1.0, 1.0, (1.0, 1.0)))


def changed(bundle: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a bundle with another manifest."""
    shutil.copytree(bundle, to)
    manifest = json.loads((to / "manifest.json").read_text())
    change(manifest)
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def renamed(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(model_id=name)


def loaded(bundle: Path) -> Hybrid:
    return load_bundle(bundle, feature_contract(), context_contract())


def promote(*arguments: Any) -> int | None:
    """In this process."""
    code: int | None = app(["promote", *map(str, arguments)], standalone_mode=False, prog_name="flowvigil")
    return code


def kept(site: Path) -> dict[str, Any]:
    """What a bundle keeps of its promotion."""
    record: dict[str, Any] = json.loads((site / "manifest.json").read_text())["about"]["promotion"]
    return record


@pytest.mark.usefixtures("small_set")
def test_what_is_no_worse_takes_its_place_with_the_reasons_and_goes_again(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = loaded(site)
    challenger = changed(site, tmp_path / "new", renamed("new"))
    compared = loaded(challenger)
    assert promote(challenger, "--over", site, "--normal", DEMO, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    now, record = loaded(site), kept(site)
    assert told == record
    assert (now.model_id, now.sha256) == ("new", compared.sha256)
    assert loaded(tmp_path / "site.previous").manifest_sha256 == before.manifest_sha256
    assert record["champion"] == {
        "model_id": before.model_id,
        "sha256": before.sha256,
        "manifest_sha256": before.manifest_sha256,
    }
    assert [own["name"] for own in record["data"]] == ["the fixed set", str(DEMO)]
    assert record["challenger"]["manifest_sha256"] == compared.manifest_sha256
    assert record["promoted"]
    assert not record["forced"]
    assert record["refusals"] == []
    assert all(len(own["sha256"]) == 64 for own in record["data"])
    assert record["classes"][0]["found"]["n"] == 40
    assert (site / "baselines.json").read_bytes() == (challenger / "baselines.json").read_bytes()
    assert promote("--rollback", site) == 0
    assert loaded(site).manifest_sha256 == before.manifest_sha256
    assert promote("--rollback", site) == 0
    assert loaded(site).manifest_sha256 == now.manifest_sha256


@pytest.mark.usefixtures("small_set")
def test_what_finds_less_stays_outside_unless_it_is_forced_with_a_reason(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that takes everything for normal."""

    def blind(manifest: dict[str, Any]) -> None:
        manifest["model_id"] = "blind"
        for threshold in manifest["thresholds"]:
            threshold["known"] = threshold["novel"] = 1e-300

    challenger = changed(site, tmp_path / "new", blind)
    original = FixedSet.flagged

    def nothing(self: FixedSet, hybrid: Hybrid, *rest: Any) -> Any:
        return original(self, hybrid, *rest) & (hybrid.model_id != "blind")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FixedSet, "flagged", nothing)
        assert promote(challenger, "--over", site) == NOT_MET
        told = capsys.readouterr()
        assert "flowvigil: PortScan: of 40 episodes 40 no longer flagged by half and 0 newly (" in told.err
        assert "stays as it is: 1 reason against the challenger" in told.err
        assert loaded(site).model_id == "default"
        assert not (tmp_path / "site.previous").exists()
        assert promote(challenger, "--over", site, "--force", "--why", "the scans are ours\n") == 0
    record = kept(site)
    assert record["forced"]
    assert record["why"].startswith("the scans are ours")
    assert len(record["refusals"]) == 1
    assert loaded(site).model_id == "blind"


def test_the_same_bundle_is_no_challenger(site: Path) -> None:
    result = flowvigil("promote", "default", "--over", site)
    assert (result.code, result.stderr) == (0, [f"flowvigil: {site} holds this bundle already"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["new", "--over", "default"], 2, "comes with flowvigil and stays as it is: copy its directory"),
        (["new"], 2, "expected CHALLENGER and --over CHAMPION"),
        (["new", "--over", "{site}", "--force"], 2, "--force and --why go together"),
        (["new", "--over", "{site}", "--why", "because"], 2, "--force and --why go together"),
        (
            ["--rollback", "{site}", "--force"],
            2,
            "found other options beside --rollback, expected --rollback CHAMPION alone",
        ),
        (["--rollback", "{site}"], 4, "expected the bundle that was before"),
        (["--rollback", "default"], 2, "comes with flowvigil"),
        (["{site}/nothing", "--over", "{site}"], 4, "found no such directory, expected a directory with manifest.json"),
        (["cic2017", "--over", "{site}/../loop"], 4, "found what cannot be opened (too many levels of symbolic links)"),
        (["nsl-kdd-flow", "--over", "{site}"], 4, "expected one for"),
        (["cic2017", "--over", "{site}/nothing"], 4, "found no such directory"),
        (["cic2017", "--over", "{site}", "--set", "detection.false_positive_rate=0.25"], 3, "false_positive_rate"),
        (["cic2017", "--over", "{site}", "--on", "{site}"], 6, "index.csv"),
        (["cic2017", "--over", "{site}", "--normal", "{site}/weights.safetensors"], 6, "weights.safetensors"),
    ],
)
def test_what_cannot_be_is_one_line(site: Path, arguments: list[str], code: int, words: str) -> None:
    site.with_name("loop").symlink_to("loop")
    result = flowvigil("promote", *(argument.format(site=site) for argument in arguments))
    assert result.code == code, result
    assert words in result.stderr[-1], result
    assert loaded(site).model_id == "default"


def test_a_contract_that_does_not_fit_is_refused_whatever_is_forced(site: Path) -> None:
    champion = loaded(site)
    strange = replace(champion, techniques=(None, "T9999", *champion.techniques[2:]))
    with pytest.raises(ModelError, match="names technique T9999, which this sensor does not know"):
        check_contract(champion, strange, Config())
    silent = replace(champion, thresholds=dict.fromkeys(champion.thresholds, (0.0, 0.005)))
    with pytest.raises(ModelError, match=r"the known lane's threshold for a rate of 0.01 is 0"):
        check_contract(champion, silent, Config())
    other = replace(champion, thresholds={0.05: (0.025, 0.025)}, default_rate=0.05)
    with pytest.raises(ModelError, match=r"found thresholds for rates 0.05, expected one for 0.01"):
        check_contract(champion, other, Config())
    check_contract(champion, loaded(bundle_path(Path("cic2017"))), Config())


def test_another_promotion_of_the_same_directory_waits_for_nobody(site: Path) -> None:
    with ReplacedDirectory(site).locked():
        result = flowvigil("promote", "cic2017", "--over", site)
    assert result.code == OutputError.exit_code
    assert "is being replaced by another process: try again when that has ended" in result.stderr[-1]


def test_a_challenger_that_has_changed_since_it_was_compared_is_not_taken(site: Path, tmp_path: Path) -> None:
    challenger = changed(site, tmp_path / "new", renamed("new"))
    compared = loaded(challenger)
    changed_text = (challenger / "manifest.json").read_text().replace('"new"', '"newer"')
    (challenger / "manifest.json").write_text(changed_text)
    with pytest.raises(ModelError, match="has changed meanwhile"):
        put_in_place(ReplacedDirectory(site), challenger, compared, {}, Config())
    assert {path.name for path in tmp_path.iterdir()} == {"site", "new"}


def test_a_flow_log_is_the_same_normal_traffic_as_its_capture(tmp_path: Path) -> None:
    assert flowvigil("read", DEMO, "-q", "--flows", tmp_path / "log").code == 0
    model, sensor = loaded(bundle_path(None)), DefaultSensor()
    logged, captured = promoting.StoredTraffic(tmp_path / "log", sensor), promoting.StoredTraffic(DEMO, sensor)
    assert logged.alerts_by_hour(model) == captured.alerts_by_hour(model)
    assert sum(captured.alerts_by_hour(model).values()) >= 3
    assert logged.sha256 != captured.sha256


def test_both_judge_the_same_files_of_a_log_that_a_watch_writes_to(tmp_path: Path) -> None:
    assert flowvigil("read", DEMO, "-q", "--flows", tmp_path / "log").code == 0
    (only,) = (tmp_path / "log").iterdir()
    model, traffic = loaded(bundle_path(None)), promoting.StoredTraffic(tmp_path / "log", DefaultSensor())
    before, sha256 = traffic.alerts_by_hour(model), traffic.sha256
    later = only.with_name(only.name.replace("-000001", "-000002"))
    shutil.copy(only, later)
    assert (traffic.alerts_by_hour(model), traffic.sha256) == (before, sha256)
    only.unlink()
    with pytest.raises(InputError, match="expected files that stay as they are"):
        traffic.alerts_by_hour(model)


def test_traffic_without_a_flow_is_no_normal_traffic(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(pcap([]))
    with pytest.raises(InputError):
        promoting.StoredTraffic(empty, DefaultSensor()).alerts_by_hour(loaded(bundle_path(None)))


def test_the_fixed_set_has_enough_of_every_family_and_is_the_same_each_time(tmp_path: Path) -> None:
    whole = FixedSet(tmp_path, DefaultSensor())
    index = whole.index
    kinds = [capture.kind for capture in index.captures]
    assert len({capture.network for capture in index.captures}) == len(ATTACKING) + len(ORDINARY)
    assert kinds.count("labelled") >= 480
    assert kinds.count("benign") == 3 * len(ORDINARY)
    first, again = whole.metered(index.captures[0].path), FixedSet(tmp_path, DefaultSensor(), ATTACKING[:1], ())
    assert again.metered(index.captures[0].path)[0].values.tobytes() == first[0].values.tobytes()
    assert again.sha256 == whole.sha256


def test_killed_at_any_moment_the_directory_loads_as_the_old_bundle_or_the_new_one(site: Path, tmp_path: Path) -> None:
    """For one who loads it without a pause too; what is left behind is settled by the next one."""
    paths = [changed(bundle_path(Path("cic2017")), tmp_path / name, renamed(name)) for name in ("one", "two")]
    challengers = [(path, loaded(path)) for path in paths]
    directory, chance, seen, left = ReplacedDirectory(site), random.Random(3), set(), 0
    began_s = time.monotonic()
    put_in_place(directory, *challengers[0], {}, Config())
    once_s = time.monotonic() - began_s

    def promote_next(number: int) -> None:
        with directory.locked():
            if number % 4 == 3:
                directory.restore()
            else:
                put_in_place(directory, *challengers[(number + 1) % 2], {"date": "2026-03-02"}, Config())

    with beside(lambda _: loaded(site)):
        for _ in range(KILLS):
            killed_after(promote_next, chance, once_s)
            seen.add(loaded(site).model_id)
            loaded(directory.previous)
            left += any(path.name.startswith(".site.") for path in tmp_path.iterdir())
    assert seen == {"one", "two"}
    assert left, "none was killed on the way"
    put_in_place(directory, *challengers[0], {}, Config())
    assert {path.name for path in tmp_path.iterdir()} == {"site", "site.previous", "one", "two"}
