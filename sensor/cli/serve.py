"""`flowvigil serve`: the JSON API. Its packages load in here and nowhere else."""

import gc
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.cli.beforehand import refuse_serving
from sensor.cli.build import (
    build_judge,
    build_meter,
    build_names,
    checked_rate,
    geo_databases,
    load_model,
    observer,
    site_notes,
)
from sensor.cli.extras import require_packages
from sensor.cli.flags import Flags
from sensor.cli.kernels import SERVING, Kernels, cached, compiling
from sensor.cli.options import BundleOption, ConfigOption, QuietOption, SetOption
from sensor.cli.signals import stopped_by_signals
from sensor.errors import OK
from sensor.local_names import LOCAL_NAMES
from sensor.printable import terminal_safe_line
from sensor.process.cores import usable_cores

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.api.app import Services
    from sensor.api.capture import CaptureReader
    from sensor.api.listening import ListenAddress
    from sensor.api.samples import RowFormat
    from sensor.api.server import ShutdownFlag
    from sensor.settings.config import Config

NEEDS = ("flask", "flask_openapi3", "flask_openapi3_swagger", "waitress")

ListenOption = Annotated[
    str, typer.Option("--listen", metavar="ADDRESS", help="HOST:PORT, [IPV6]:PORT (port 0: any) or unix:PATH.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Token that requests must show. [else: FLOWVIGIL_TOKEN, if set]",
        readable=False,
    ),
]
AttachOption = Annotated[
    Path | None,
    typer.Option(
        "--attach",
        metavar="SOCKET",
        help="Also show the running sensor that listens there, at /live.",
        readable=False,
    ),
]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="A JSON line on stderr for each request.")]


def serve(
    listen: ListenOption = "127.0.0.1:8080",
    model: BundleOption = None,
    token_file: TokenOption = None,
    attach: AttachOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> int:
    """Score flows over HTTP: a JSON API, and a page for people at /.

    \b
    flowvigil serve                        # http://127.0.0.1:8080, and /docs
    flowvigil serve -m nsl-kdd --set detection.false_positive_rate=0.05
    flowvigil serve --listen unix:/run/flowvigil/api.sock
    openssl rand -hex 32 > token
    flowvigil serve --listen 0.0.0.0:8080 --token-file token
    flowvigil serve --attach /run/flowvigil/attach.sock    # a sensor at /live

    \b
    curl -s localhost:8080/v1/score -H 'Content-Type: application/json' \\
         -d '{"rows": [{"protocol": 6, "flow_duration": 1200, ...}]}'

    Only this machine is served unless --listen says otherwise; any other address needs a token, and there is none by
    default. There is no encryption either: put a proxy with TLS before it where the network is not yours. SIGTERM and
    SIGINT end it when the requests under way are answered, within ten seconds, with exit code 0; an address that cannot
    be had gives exit code 3.
    """
    require_packages(NEEDS, "serving", "serve")
    loaded = Flags(model=model, config=config, overrides=overrides).settings()
    kernels = cached(SERVING, loaded)
    from sensor.api.listening import listening_socket, parse_listen_address, read_token, require_token
    from sensor.api.server import ApiServer, ShutdownFlag

    address = parse_listen_address(listen)
    token = read_token(token_file, os.environ)
    require_token(address, token)
    shutdown = ShutdownFlag()
    services = _services(loaded, token, address, shutdown, attach, verbose=verbose)
    if not kernels.compiled:
        refuse_serving(address)
    _warm(services, kernels, quiet=quiet)
    # flask and its dependencies, after the kernel cache is set
    from sensor.api.admission import Admission
    from sensor.api.app import build_app
    from sensor.api.bodies import BodyBudget
    from sensor.api.connection import Rules

    with ExitStack() as stack:
        listener = stack.enter_context(listening_socket(address))
        rules = Rules(Admission(services.guard), BodyBudget(loaded.api.body_bytes))
        server = ApiServer(build_app(services), listener, shutdown, rules)
        stack.enter_context(stopped_by_signals(server))
        if not quiet:
            bound = address if address.path else replace(address, port=listener.getsockname()[1])
            scheme = "" if address.path else "http://"
            with_token = "" if token is None else ", with a token"
            log.info(
                f"scoring {services.row_format.name} with {services.models.hybrid.model_id} at "
                f"{scheme}{bound}{with_token}"
            )
            if attach is not None:
                log.info(f"the sensor at {attach}: {scheme}{bound}/live")
        server.run()
    return OK


def _services(
    config: "Config",
    token: str | None,
    address: "ListenAddress",
    shutdown: "ShutdownFlag",
    attach: Path | None,
    *,
    verbose: bool,
) -> "Services":
    """Services of the application. Raises ModelError."""
    from sensor.api.app import Services
    from sensor.api.guard import Guard
    from sensor.api.live_feed import LiveFeed
    from sensor.api.scoring import COPIES, ModelPool
    from sensor.episodes.reasons import Explainer

    hybrid = load_model(config)
    rate = checked_rate(config, hybrid)
    row_format = row_format_for(hybrid)
    copies = max(2, min(COPIES, usable_cores()))
    names = LOCAL_NAMES | {address.host} if address.is_local and address.path is None else None
    return Services(
        models=ModelPool(hybrid, Explainer(hybrid.normal), rate, copies, config.api.request_s),
        row_format=row_format,
        guard=Guard(token, names),
        captures=capture_reader_for(config, hybrid),
        shutdown=shutdown,
        feed=None if attach is None else LiveFeed(attach),
        access_log=_write_access_line if verbose else None,
    )


def _warm(services: "Services", kernels: Kernels, *, quiet: bool) -> None:
    """Have every kernel compiled: no request waits for that."""
    from sensor.api.warmup import warm_up

    with compiling(kernels, quiet=quiet):
        warm_up(services.models, services.captures)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not scan it again and again


def row_format_for(hybrid: "Hybrid") -> "RowFormat":
    """The row format that a model takes, by its feature contract."""
    from flows.kdd.columns import kdd_contract
    from sensor.api.cic import CicFormat
    from sensor.api.kdd import KddFormat

    for content in (True, False):
        if hybrid.contract == kdd_contract(content=content):
            return KddFormat(content=content)
    return CicFormat(hybrid)


def capture_reader_for(config: "Config", hybrid: "Hybrid") -> "CaptureReader | None":
    """Reader of captures that finds in them what `read` does by the same settings; None for a model of payloads.

    Raises ConfigError for notes of a site, or databases of addresses, that cannot be read.
    """
    from flows.kdd.columns import kdd_contract
    from sensor.api.capture import FLOWS_SHOWN, CaptureReader

    if hybrid.contract == kdd_contract(content=True):
        return None
    episodes = config.episodes.model_copy(update={"flows_per_alert": FLOWS_SHOWN})
    no_packets = config.keep_packets.model_copy(update={"directory": None})
    judging = config.model_copy(update={"episodes": episodes, "keep_packets": no_packets})
    return CaptureReader(
        partial(build_meter, config),
        partial(build_judge, judging),
        observer(config),
        site_notes(config),
        config.capture.filter,
        geo_databases(config),
        partial(build_names, config),
    )


def _write_access_line(line: bytes) -> None:
    """Write a line to stderr; where that is full or has no reader left, requests are answered all the same."""
    with suppress(OSError, ValueError):
        sys.stderr.buffer.write(terminal_safe_line(line) if sys.stderr.isatty() else line)
        sys.stderr.buffer.flush()
