"""Signatures of bundles, by those that the program minisign has made and the other way round."""

import builtins
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.bundle import BundleError, load_bundle, save_bundle
from models.manifest import read_file
from models.signature import SUFFIX, check_signature, public_key
from tests.models.builders import CONTRACT, make_hybrid
from tests.support.minisign import Signer

MINISIGN = shutil.which("minisign")
# Made by minisign 0.11 of Debian: minisign -G -W; minisign -S -m manifest.json -t 'site, 29 November'.
GOLDEN = Path(__file__).parent / "minisign"
OWN, OTHER = Signer.of(1), Signer.of(2)
KEYS = (public_key(OWN.public),)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "bundle"
    save_bundle(path, make_hybrid(), {})
    OWN.sign(path)
    return path


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def refusal(bundle: Path, keys: Any = KEYS) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle, CONTRACT, keys=keys)
    line = str(caught.value)
    assert line.isprintable()
    assert str(bundle) in line
    return line


def test_a_bundle_that_a_key_of_the_settings_has_signed_is_taken(bundle: Path):
    assert load_bundle(bundle, CONTRACT, keys=KEYS).model_id == "test-1"
    both = (public_key(OTHER.public), *KEYS)
    assert load_bundle(bundle, CONTRACT, keys=both).model_id == "test-1"


def test_without_keys_nobody_looks_at_signatures(bundle: Path):
    (bundle / "manifest.json.minisig").write_bytes(b"nonsense")
    load_bundle(bundle, CONTRACT)
    (bundle / "manifest.json.minisig").unlink()
    load_bundle(bundle, CONTRACT)


def test_no_signature_another_key_and_a_moved_one_are_refused(bundle: Path, tmp_path: Path):
    assert f"is by key {KEYS[0].name}, expected {public_key(OTHER.public).name}" in refusal(
        bundle, (public_key(OTHER.public),)
    )
    forged = Signer(OTHER.secret, OWN.number)  # who says to have that key, and has another
    forged.sign(bundle)
    assert "is no signature of this manifest.json" in refusal(bundle)
    save_bundle(tmp_path / "second", make_hybrid(), {"another": 1})
    (bundle / "manifest.json.minisig").write_bytes(OWN.signature((tmp_path / "second/manifest.json").read_bytes()))
    assert "is no signature of this manifest.json" in refusal(bundle)
    (bundle / "manifest.json.minisig").unlink()
    assert "manifest.json.minisig cannot be read" in refusal(bundle)


def test_a_signature_is_a_file_of_the_bundles_own(bundle: Path, made: Path):
    file = bundle / "manifest.json.minisig"
    for make in (
        lambda: file.symlink_to(made / file.name),
        lambda: os.mkfifo(file),
        file.mkdir,
        lambda: file.write_bytes(b"x" * 5000),
        lambda: file.write_bytes(b""),
    ):
        file.unlink()
        make()
        assert "manifest.json.minisig" in refusal(bundle)
        if file.is_dir():
            file.rmdir()
            file.touch()


def test_a_changed_byte_of_any_file_is_refused(bundle: Path):
    for name in ("manifest.json", "weights.safetensors", "manifest.json.minisig"):
        file = bundle / name
        content = file.read_bytes()
        places = range(len(content)) if len(content) < 1000 else range(0, len(content), len(content) // 40)
        for at in places:
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            if name.endswith(SUFFIX) and at < content.index(b"\n") and at >= len(b"untrusted comment:"):
                continue  # what is untrusted may say anything
            file.write_bytes(changed)
            refusal(bundle)
        file.write_bytes(content)
    load_bundle(bundle, CONTRACT, keys=KEYS)


def test_the_trusted_comment_and_the_kind_of_signature_count(bundle: Path):
    file, manifest = bundle / "manifest.json.minisig", (bundle / "manifest.json").read_bytes()
    lines = OWN.signature(manifest, "of May").split(b"\n")
    lines[2] = b"trusted comment: of June"
    file.write_bytes(b"\n".join(lines))
    assert "has a trusted comment that key" in refusal(bundle)
    file.write_bytes(OWN.signature(manifest, algorithm=b"Ed"))
    assert "old kind of signature" in refusal(bundle)
    file.write_bytes(OWN.signature(manifest) + b"more\n")
    assert "no signature of minisign" in refusal(bundle)
    file.write_bytes(OWN.signature(manifest).replace(b"\n", b"\r\n"))
    load_bundle(bundle, CONTRACT, keys=KEYS)  # as some editors leave it


def test_only_what_the_manifest_names_is_read(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    (bundle / "baselines.json").write_text("{")
    (bundle / "code.py").write_text("raise SystemExit")
    opened = []

    def reading(file: Path, *rest: Any) -> bytes:
        opened.append(file.name)
        return read_file(file, *rest)

    monkeypatch.setattr("models.manifest.read_file", reading)
    load_bundle(bundle, CONTRACT, keys=KEYS)
    assert sorted(opened) == ["manifest.json", "manifest.json.minisig", "weights.safetensors"]


def test_without_the_library_a_signed_bundle_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    imported = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError("No module named 'cryptography'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    assert "cannot be checked: No module named 'cryptography'; expected the package" in refusal(bundle)


@pytest.mark.parametrize("text", ["", "RWQ", "x" * 56, OWN.public[:-1], OWN.public + "=", "é" * 56, OWN.public.lower()])
def test_what_is_no_public_key_is_refused(text: str):
    with pytest.raises(ValueError, match="expected a public key of minisign"):
        public_key(text)


def test_what_minisign_has_signed_is_taken():
    key = public_key((GOLDEN / "minisign.pub").read_text().splitlines()[1])
    content, signature = (GOLDEN / "manifest.json").read_bytes(), (GOLDEN / "manifest.json.minisig").read_bytes()
    assert key.name in (GOLDEN / "minisign.pub").read_text().splitlines()[0]
    check_signature(content, signature, [key], "manifest.json")
    with pytest.raises(BundleError):
        check_signature(content + b"\n", signature, [key], "manifest.json")
    old = (GOLDEN / "old.minisig").read_bytes()  # minisign -S -l
    with pytest.raises(BundleError, match="old kind"):
        check_signature(content, old, [key], "manifest.json")


@pytest.mark.skipif(MINISIGN is None, reason="minisign is not installed")
def test_the_program_minisign_and_this_one_understand_each_other(bundle: Path, tmp_path: Path):
    def minisign(*arguments: str | Path) -> int:
        assert MINISIGN is not None
        return subprocess.run(
            [MINISIGN, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode

    manifest = bundle / "manifest.json"
    assert minisign("-V", "-P", OWN.public, "-m", manifest) == 0  # what the tests sign is what minisign takes
    assert minisign("-V", "-P", OTHER.public, "-m", manifest) != 0
    public, secret = tmp_path / "key.pub", tmp_path / "key.sec"
    assert minisign("-G", "-W", "-p", public, "-s", secret) == 0
    assert minisign("-S", "-s", secret, "-m", manifest, "-t", "site of é") == 0
    key = public_key(public.read_text().splitlines()[1])
    assert load_bundle(bundle, CONTRACT, keys=[key]).model_id == "test-1"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert "no signature of this manifest.json" in refusal(bundle, [key])


def test_keys_are_read_and_bundles_without_keys_loaded_without_the_library(bundle: Path):
    program = (
        "import sys; from models.bundle import load_bundle; from models.signature import public_key; "
        "from tests.models.builders import CONTRACT; public_key(sys.argv[2]); load_bundle(sys.argv[1], CONTRACT); "
        "print('cryptography' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, bundle, OWN.public], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
