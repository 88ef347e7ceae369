"""What the Debian package is made of, as dpkg and systemd read it. Whether it installs and runs: `make deb-test`."""

import gzip
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from sensor.version import VERSION
from tests.supply.deb import (
    COMPLETIONS,
    CONFFILES,
    CONFIGS,
    HOME,
    SCRIPTS,
    UNITS,
    control_text,
    lay_control,
    lay_files,
    place_wheel,
)

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package without its environment."""
    made = tmp_path_factory.mktemp("deb")
    made.chmod(0o755)
    lay_files(made)
    return made


@needs_dpkg
def test_dpkg_takes_the_package_and_finds_its_fields(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "tree", symlinks=True)
    lay_control(tmp_path / "tree")
    package = tmp_path / "x.deb"
    build = ("dpkg-deb", "--root-owner-group", "-Znone", "--build", tmp_path / "tree", package)
    subprocess.run(build, check=True, capture_output=True)
    fields = subprocess.run(("dpkg-deb", "--field", package), check=True, capture_output=True, text=True).stdout
    assert f"Package: flowvigil\nVersion: {VERSION}\n" in fields
    listed = subprocess.run(("dpkg-deb", "--contents", package), check=True, capture_output=True, text=True).stdout
    assert {line.split()[1] for line in listed.splitlines()} == {"root/root"}
    assert "./usr/bin/flowvigil -> ../lib/flowvigil/bin/flowvigil" in listed
    for place in CONFFILES:
        assert f"./{place}\n" in listed + "\n"


def test_every_line_of_the_fields_is_one_that_dpkg_reads() -> None:
    assert all(re.match(r"[A-Z][\w-]*: \S| \S", line) for line in control_text(1).splitlines())


def test_units_name_the_packages_place_and_user_and_keep_everything_else(tree: Path) -> None:
    for unit in UNITS:
        ours, packaged = (CONFIGS / unit).read_text(), (tree / "lib/systemd/system" / unit).read_text()
        assert "/opt/" not in "".join(line for line in packaged.splitlines() if not line.startswith("#"))
        assert "DynamicUser" not in packaged
        if unit.endswith(".service"):
            assert packaged.count("\nUser=flowvigil\nGroup=flowvigil\n") == 1
            assert f"/{HOME}/bin/flowvigil" in packaged
        kept = [line for line in ours.splitlines() if "/opt/flowvigil" not in line and "User=" not in line]
        assert [line for line in kept if line not in packaged.splitlines()] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_service_manager_finds_nothing_wrong_with_the_packaged_units(tree: Path, tmp_path: Path) -> None:
    for unit in UNITS:
        text = (tree / "lib/systemd/system" / unit).read_text()
        (tmp_path / unit).write_text(text.replace(f"/{HOME}/bin/flowvigil", shutil.which("true") or "/bin/true"))
    verify = ("systemd-analyze", "verify", "--man=no", *(tmp_path / unit for unit in UNITS))
    found = subprocess.run(verify, check=False, capture_output=True, text=True).stderr
    assert [line for line in found.splitlines() if "flowvigil" in line] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_ones_that_a_shell_takes(script: str) -> None:
    subprocess.run(("sh", "-n", CONFIGS / "debian" / script), check=True)
    assert (CONFIGS / "debian" / script).read_text().splitlines()[0] == "#!/bin/sh"


def test_manual_changelog_examples_and_completions_are_where_debian_has_them(tree: Path) -> None:
    assert gzip.decompress((tree / "usr/share/man/man1/flowvigil.1.gz").read_bytes()).startswith(b".TH FLOWVIGIL 1 ")
    assert (tree / "usr/share/doc/flowvigil/examples/outputs.yaml").is_file()
    for shell, place in COMPLETIONS.items():
        assert "_FLOWVIGIL_COMPLETE" in (tree / place).read_text(), shell


def test_bash_takes_the_completion(tree: Path) -> None:
    subprocess.run(("bash", "-n", tree / COMPLETIONS["bash"]), check=True)


@pytest.mark.parametrize("action", ["remove", "upgrade"])
def test_what_was_compiled_of_modules_goes_with_them(action: str, tmp_path: Path) -> None:
    """Else a directory that the next release does not have stays, and with it all that is above it."""
    compiled = tmp_path / "home" / "models" / "__pycache__"
    compiled.mkdir(parents=True)
    (compiled / "a.pyc").touch()
    script = (CONFIGS / "debian" / "prerm").read_text()
    for place, instead in ((f"/{HOME}", tmp_path / "home"), ("/run/systemd/system", tmp_path / "nowhere")):
        assert place in script
        script = script.replace(place, str(instead))
    subprocess.run(("sh", "-c", script, "prerm", action, "0.2.0"), check=True)
    assert not compiled.exists()
    assert compiled.parent.exists()


def test_nothing_in_the_package_says_where_it_was_built(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    wheel = tmp_path / "dist" / "one-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("one.py", "")
        packed.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
        packed.writestr("one-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr("one-1.0.dist-info/RECORD", "")
    place_wheel(tmp_path / "packages", wheel)
    placed = [path for path in (tmp_path / "packages").rglob("*") if path.is_file()]
    assert (tmp_path / "packages" / "one.py") in placed
    assert [path for path in placed if str(tmp_path).encode() in path.read_bytes()] == []
