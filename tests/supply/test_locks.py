"""The locks hold what setup.cfg asks for, for each Python and machine that is promised, and nothing but it."""

import configparser
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.supply import pins
from tests.supply.environments import LOCKS, ROOT, SENSOR, WITH_SENSOR, WITHOUT_SENSOR, environments, extras
from tests.supply.pins import Pin

ENVIRONMENTS = environments()
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for python in PYTHONS
    for machine in ("x86_64", "aarch64")
]
ANNOUNCED = re.compile(r"^( *#.*|--only-binary :all:|)$")


def on(platform: dict[str, str], environment: str) -> dict[str, Pin]:
    """The pins of an environment that are installed on a platform, by name; each once."""
    found = [pin for pin in pins.read(environment) if pin.holds(platform)]
    by_name = {pin.name: pin for pin in found}
    assert len(by_name) == len(found), "two versions of one package"
    return by_name


def wanted(requirements: list[str], platform: dict[str, str]) -> Iterator[Requirement]:
    """Those requirements that apply on a platform."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate(dict(platform)):
            yield requirement


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_lock_satisfies_what_setup_cfg_asks_for(environment: str) -> None:
    for platform in PLATFORMS:
        locked = on(platform, environment)
        for requirement in wanted(ENVIRONMENTS[environment], platform):
            pin = locked.get(canonicalize_name(requirement.name))
            assert pin, f"{requirement} is not locked for {platform}: make lock"
            assert pin.version in requirement.specifier, f"{requirement}, but {pin.version} is locked: make lock"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_lock_names_as_asked_for_what_setup_cfg_asks_for(environment: str) -> None:
    asked = {canonicalize_name(Requirement(line).name) for line in ENVIRONMENTS[environment]}
    assert {pin.name for pin in pins.read(environment) if "flowvigil" in pin.needed_by} == asked, "make lock"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_everything_in_a_lock_is_needed_by_something_in_it(environment: str) -> None:
    names = {pin.name for pin in pins.read(environment)} | {"flowvigil"}
    assert not [pin.name for pin in pins.read(environment) if not pin.needed_by or not names.issuperset(pin.needed_by)]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_an_installed_version_of_a_lock_requires_is_in_the_lock(environment: str) -> None:
    """Of the versions that are installed here, by their own metadata."""
    here = {pin.name: pin for pin in pins.read(environment) if pin.holds({})}
    installed = [pin for pin in here.values() if version_here(pin.name) == str(pin.version)]
    for pin in installed:
        for requirement in map(Requirement, distribution(pin.name).requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed = here.get(canonicalize_name(requirement.name))
                assert needed, f"{pin.name} needs {requirement}"
                assert requirement.specifier.contains(needed.version, prereleases=True), f"{pin.name}: {requirement}"
    assert installed or environment in {"audit"}


def version_here(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def test_a_package_has_one_version_in_all_locks() -> None:
    for platform in PLATFORMS:
        versions: dict[str, set[str]] = {}
        for environment in ENVIRONMENTS:
            for name, pin in on(platform, environment).items():
                versions.setdefault(name, set()).add(str(pin.version))
        assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_lock_names_no_place_to_fetch_from_and_only_wheels(environment: str) -> None:
    text = (LOCKS / f"{environment}.txt").read_text()
    assert "\n--only-binary :all:\n" in text
    assert "://" not in text
    for line in text.splitlines():
        pinned = re.fullmatch(r"[a-z0-9.-]+==[\w.]+( ; [^:@]+)? \\", line)
        hashed = re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
        assert pinned or hashed or ANNOUNCED.fullmatch(line), line


def test_every_extra_is_of_an_environment_and_every_environment_has_a_lock() -> None:
    of_environments = {extra for parts in (WITH_SENSOR | WITHOUT_SENSOR).values() for extra in parts} | {SENSOR}
    assert set(extras()) - of_environments == {"reference"}, "the peers that bench measures are not ours to lock"
    assert {path.stem for path in LOCKS.glob("*.txt")} == set(ENVIRONMENTS)


def test_the_pythons_of_the_locks_are_those_of_setup_cfg() -> None:
    file = configparser.ConfigParser()
    file.read(ROOT / "setup.cfg")
    admitted = SpecifierSet(file["options"]["python_requires"])
    assert [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.0" in admitted] == list(PYTHONS)
