"""A server, and the application without one, of the shipped bundles; all skip where the serve extra is not there."""

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support.served import Served, flows_of, rows_of, served

NEEDED = ("flask", "flask_openapi3", "flask_openapi3_swagger", "waitress")
missing = [name for name in NEEDED if find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if missing else []


@pytest.fixture(scope="session")
def server() -> Iterator[Served]:
    """The default bundle."""
    with served("-v") as running:
        yield running


@pytest.fixture(scope="session")
def scan_rows() -> list[dict[str, Any]]:
    """Some flows of a port scan under our own names."""
    from sensor.synth.scenarios.portscan import PORTSCAN

    return rows_of(flows_of([PORTSCAN], 1.0))[:50]


@pytest.fixture(scope="session")
def normal_rows() -> list[dict[str, Any]]:
    """Some flows of normal traffic under our own names."""
    from sensor.synth.scenarios.normal import NORMAL

    return rows_of(flows_of([NORMAL], 4.0))[:200]


@pytest.fixture(scope="session")
def client_of() -> Callable[..., Any]:
    """Client of the application, by bundle, token and whether requests are logged; the same one for the same."""
    from sensor.api.app import Services, build_app
    from sensor.api.guard import Guard
    from sensor.api.scoring import ModelPool
    from sensor.api.server import ShutdownFlag
    from sensor.cli.build import DEFAULT_BUNDLE, load_model
    from sensor.cli.serve import _write_access_line, capture_reader_for, row_format_for
    from sensor.episodes.reasons import Explainer
    from sensor.local_names import LOCAL_NAMES
    from sensor.settings.config import effective_config
    from sensor.settings.setting import Setting

    @cache
    def make(bundle: str = DEFAULT_BUNDLE, token: str | None = None, *, logged: bool = False) -> Any:
        config = effective_config(None, {}, (), [Setting("detection.bundle", bundle, "-m")]).config
        hybrid = load_model(config)
        row_format = row_format_for(hybrid)
        models = ModelPool(hybrid, Explainer(hybrid.normal), 0.01, 1)
        captures = capture_reader_for(config, hybrid)
        log = _write_access_line if logged else None
        app = build_app(Services(models, row_format, Guard(token, LOCAL_NAMES), captures, ShutdownFlag(), log))
        return app.test_client()

    return make


@pytest.fixture
def client(client_of: Callable[..., Any]) -> Any:
    """Client of the application with the default bundle."""
    return client_of()
