"""`flowvigil check`: whether the socket of attach.socket can be made."""

from pathlib import Path
from typing import Any

import pytest

from sensor.attach.place import listen
from sensor.checks.attach import attach
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError
from sensor.settings.config import effective_config

pytestmark = pytest.mark.ux


def context(**settings: object) -> CheckContext:
    overrides = [f"attach.{name}={value}" for name, value in settings.items()]
    nobody: Any = None
    return CheckContext(effective_config(overrides=overrides).config, (), Observation(""), nobody, nobody, nobody)


def test_a_socket_that_can_be_made_is_made_and_removed_again(tmp_path: Path) -> None:
    observation = attach(context(socket=tmp_path / "sock"))
    assert (observation.status, observation.message.startswith(f"{tmp_path / 'sock'}: can be made")) == (
        CheckStatus.OK,
        True,
    )
    assert not list(tmp_path.iterdir())
    assert attach(context()).status is CheckStatus.SKIPPED


def test_what_would_stop_the_sensor_is_a_failure_that_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/none/sock: there is no directory"):
        attach(context(socket=tmp_path / "none" / "sock"))
    with pytest.raises(ConfigError, match="no such group"):
        attach(context(socket=tmp_path / "sock", group="nonesuch"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="no socket"):
        attach(context(socket=tmp_path / "file"))
    place = listen(tmp_path / "sock", None, None)
    with pytest.raises(ConfigError, match="somebody listens"):
        attach(context(socket=tmp_path / "sock"))
    place.leave()
