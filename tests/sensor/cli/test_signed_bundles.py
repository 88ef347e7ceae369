"""detection.bundle_keys: what is signed is taken, whatever else ends with exit code 4, wherever bundles are loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from models.baselines import load_baselines
from sensor.cli import app, promoting
from sensor.cli.build import bundle_keys, bundle_path, load_model
from sensor.cli.promoting import put_in_place
from sensor.errors import CONFIG, INPUT, MODEL, OK, ModelError
from sensor.files.replacing import ReplacedDirectory
from sensor.settings.config import Config
from tests.support.command import DEMO, flowvigil
from tests.support.minisign import Signer

pytestmark = pytest.mark.takes(8)
OWN, OTHER = Signer.of(1), Signer.of(2)
KEYS = ("--set", f"detection.bundle_keys={OTHER.public} {OWN.public}")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A bundle that the first key has signed."""
    copied = Path(shutil.copytree(bundle_path(None).parent / "cic2017", tmp_path / "site"))
    OWN.sign(copied)
    return copied


def config_of(bundle: Path, keys: str = OWN.public) -> Config:
    return Config.model_validate({"detection": {"bundle": bundle, "bundle_keys": keys}})


def refused(*arguments: str | Path) -> str:
    """The one line of a command that ends with 4."""
    done = flowvigil(*arguments)
    assert done.code == MODEL, done.stderr
    return done.stderr[-1]


def test_read_takes_a_signed_bundle_and_says_the_same_as_without_keys(site: Path):
    signed, plain = flowvigil("read", DEMO, "-m", site, "-q", *KEYS), flowvigil("read", DEMO, "-m", site, "-q")
    assert (signed.code, plain.code) == (OK, OK)
    assert signed.stdout == plain.stdout != b""


@pytest.mark.parametrize(
    "command",
    [
        ("read", DEMO, "-m"),
        ("report", DEMO, "-o", "page.html", "-m"),
        ("selftest", "-m"),
        ("rehearse", DEMO, "-m"),
        ("serve", "--listen", "127.0.0.1:0", "-m"),
        ("check", "-q", "-m"),
    ],
    ids=lambda command: command[0],
)
def test_commands_refuse_a_bundle_that_nobody_has_signed(command: tuple[Any, ...], site: Path):
    (site / "manifest.json.minisig").unlink()
    assert "manifest.json.minisig cannot be read" in refused(*command, site, *KEYS)


@pytest.mark.parametrize("protocol", ["time", "networks"])
def test_evaluate_takes_no_model_and_no_baselines_that_nobody_has_signed(protocol: str, site: Path, tmp_path: Path):
    table = tmp_path / "table.csv"
    table.write_text("none\n")
    asked = ("evaluate", site, "--protocol", protocol, table)
    assert "baselines.json.minisig cannot be read" in refused(*asked, *KEYS)
    OWN.sign(site, "baselines.json")
    assert flowvigil(*asked, *KEYS).code == INPUT  # the table: the model was taken
    (site / "manifest.json.minisig").unlink()
    assert "manifest.json.minisig cannot be read" in refused(*asked, *KEYS)
    done = flowvigil(*asked, FLOWVIGIL__DETECTION__BUNDLE_KEYS=OWN.public)
    assert (done.code, "manifest.json.minisig cannot be read" in done.stderr[-1]) == (MODEL, True)


def test_evaluate_compares_with_no_model_that_nobody_has_signed(site: Path, tmp_path: Path):
    OWN.sign(site, "baselines.json")
    asked = ("evaluate", site, "--protocol", "networks", tmp_path, "--beside", "cic2017")
    assert "pretrained/cic2017: manifest.json.minisig cannot be read" in refused(*asked, *KEYS)


def test_the_shipped_bundle_is_no_exception():
    assert "manifest.json.minisig cannot be read" in refused("read", DEMO, *KEYS)


def test_a_baseline_begins_with_a_signed_bundle_alone(site: Path, tmp_path: Path):
    (site / "weights.safetensors").write_bytes(b"")
    assert "has sha256" in refused("baseline", site, DEMO, "-o", tmp_path / "new", *KEYS)
    (site / "manifest.json.minisig").unlink()
    assert "minisig cannot be read" in refused("baseline", site, DEMO, "-o", tmp_path / "new", *KEYS)
    assert not (tmp_path / "new").exists()


def test_nothing_is_learnt_beside_a_watch_that_takes_signed_bundles_alone(tmp_path: Path):
    line = refused("watch", "-i", "lo", "--learn", tmp_path / "learnt", *KEYS)
    assert "what is learnt here has no signature" in line


def test_keys_that_are_none_are_a_fault_of_the_settings(site: Path):
    done = flowvigil("read", DEMO, "-m", site, "--set", "detection.bundle_keys=nonsense")
    assert done.code == CONFIG
    assert "detection.bundle_keys" in done.stderr[-1]
    assert "expected a public key of minisign" in done.stderr[-1]


def test_promote_takes_neither_champion_nor_challenger_that_nobody_has_signed(site: Path, tmp_path: Path):
    challenger = Path(shutil.copytree(site, tmp_path / "new"))
    (challenger / "manifest.json.minisig").unlink()
    assert "new: manifest.json.minisig" in refused("promote", challenger, "--over", site, *KEYS)
    assert "new: manifest.json.minisig" in refused("promote", site, "--over", challenger, *KEYS)


def test_a_promoted_bundle_keeps_its_signature_and_the_reasons_stand_beside_it(site: Path, tmp_path: Path):
    challenger = Path(shutil.copytree(site, tmp_path / "new"))
    manifest = json.loads((challenger / "manifest.json").read_text())
    (challenger / "manifest.json").write_text(json.dumps({**manifest, "model_id": "new"}))
    OWN.sign(challenger)
    OWN.sign(challenger, "baselines.json")
    config = config_of(site)
    model = load_model(config_of(challenger))
    put_in_place(ReplacedDirectory(site), challenger, model, {"forced": False}, config)
    assert load_model(config).manifest_sha256 == model.manifest_sha256
    assert json.loads((site / promoting.PROMOTION).read_text()) == {"forced": False}
    assert load_baselines(site, model, keys=bundle_keys(config)) is not None
    assert {path.name for path in site.iterdir()} == {*(path.name for path in challenger.iterdir()), "promotion.json"}
    assert app(["promote", "--rollback", str(site), *KEYS], standalone_mode=False, prog_name="flowvigil") == OK
    (tmp_path / "site.previous" / "manifest.json.minisig").unlink()
    with pytest.raises(ModelError, match="minisig cannot be read"):
        app(["promote", "--rollback", str(site), *KEYS], standalone_mode=False, prog_name="flowvigil")
    assert load_model(config).model_id == manifest["model_id"]


@pytest.mark.parametrize("signer", [None, OTHER])
def test_baselines_that_the_sensors_keys_have_not_signed_are_left_out_and_told(
    signer: Signer | None, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    challenger = Path(shutil.copytree(site, tmp_path / "new"))
    if signer is not None:
        signer.sign(challenger, "baselines.json")
    put_in_place(ReplacedDirectory(site), challenger, load_model(config_of(challenger)), {}, config_of(site))
    assert [path.name for path in site.glob("baselines*")] == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "baselines.json.minisig " in line
    assert line.endswith("; baselines are left out")


@pytest.mark.parametrize("bundle_signed", [True, False])
def test_a_signature_of_baselines_goes_with_them_where_nobody_asks_for_it(
    *, bundle_signed: bool, site: Path, tmp_path: Path
):
    challenger = Path(shutil.copytree(site, tmp_path / "new"))
    OTHER.sign(challenger, "baselines.json")
    if not bundle_signed:
        (challenger / "manifest.json.minisig").unlink()
    config = Config.model_validate({"detection": {"bundle": site}})
    put_in_place(ReplacedDirectory(site), challenger, load_model(config_of(site)), {}, config)
    for name in ("baselines.json", "baselines.json.minisig", "baselines.safetensors"):
        assert (site / name).read_bytes() == (challenger / name).read_bytes()


def test_what_does_not_load_by_the_sensors_keys_is_put_nowhere(site: Path, tmp_path: Path):
    challenger = Path(shutil.copytree(site, tmp_path / "new"))
    model = load_model(config_of(challenger))
    OTHER.sign(challenger)  # after it was compared
    with pytest.raises(ModelError, match="is by key"):
        put_in_place(ReplacedDirectory(site), challenger, model, {}, config_of(site))
    assert load_model(config_of(site)).manifest_sha256 == model.manifest_sha256
