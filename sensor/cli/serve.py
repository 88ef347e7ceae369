"""`flowvigil serve`: the JSON API. Its packages load in here and nowhere else."""

import gc
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.cli.build import build_table_meter, held_rate, load_model
from sensor.cli.flags import Flags
from sensor.cli.kernels import cached_kernels
from sensor.cli.options import BundleOption, ConfigOption, QuietOption, SetOption
from sensor.cli.signals import ended_by_interrupt, stopped_by_signals
from sensor.errors import OK
from sensor.process.kernel_cache import kernels_are_compiled

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.api.app import Parts
    from sensor.api.captured import Captures, Columns
    from sensor.api.listening import Address
    from sensor.api.records import RecordForm
    from sensor.api.server import Life
    from sensor.settings.config import Config

NEEDS = ("flask", "flask_openapi3", "flask_openapi3_swagger", "waitress")
KERNELS = "serve"
CONNECTION_HOSTS = 4096  # destinations remembered within a capture of up to 10,000 flows

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
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="A JSON line on stderr for each request.")]


def serve(
    listen: ListenOption = "127.0.0.1:8080",
    model: BundleOption = None,
    token_file: TokenOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> int:
    """Score flows over HTTP: a JSON API, and a page for people at /.

    \b
    flowvigil serve                                   # http://127.0.0.1:8080, documentation at /docs
    flowvigil serve -m nsl-kdd --set detection.false_positive_rate=0.05
    flowvigil serve --listen unix:/run/flowvigil/api.sock
    openssl rand -hex 32 > token; flowvigil serve --listen 0.0.0.0:8080 --token-file token

    \b
    curl -s localhost:8080/v1/score -H 'Content-Type: application/json' \\
         -d '{"rows": [{"protocol": 6, "flow_duration": 1200, ...}]}'

    Only this machine is served unless --listen says otherwise; any other address needs a token, and there is none by
    default. There is no encryption either: put a proxy with TLS before it where the network is not yours. SIGTERM and
    SIGINT end it when the requests under way are answered, with exit code 0; an address that cannot be had gives exit
    code 3.
    """
    missing = [package for package in NEEDS if find_spec(package) is None]
    if missing:
        raise typer.BadParameter(f"serving needs {', '.join(missing)}: pip install 'flowvigil[serve]'")
    from sensor.api.listening import bound_socket, parse_address, require_token, token_of
    from sensor.api.server import Life, Server

    loaded = Flags(model=model, config=config, overrides=overrides).settings()
    address = parse_address(listen)
    token = token_of(token_file, os.environ)
    require_token(address, token)
    life = Life()
    parts = _warm(loaded, token, address, life, verbose=verbose, quiet=quiet)
    from sensor.api.app import build_app  # flask and what it brings, once the kernels have their place

    with ExitStack() as stack:
        listening = bound_socket(address)
        stack.callback(listening.close)
        if address.path is not None:
            stack.callback(address.path.unlink, missing_ok=True)
        server = Server(build_app(parts), listening, life)
        stack.enter_context(stopped_by_signals(server))
        if not quiet:
            place = address if address.path else replace(address, port=listening.getsockname()[1])
            scheme = "" if address.path else "http://"
            kept = "" if token is None else ", with a token"
            log.info(f"scoring {parts.form.name} with {parts.scorer.hybrid.model_id} at {scheme}{place}{kept}")
        server.run()
    return OK


def _warm(
    config: "Config", token: str | None, address: "Address", life: "Life", *, verbose: bool, quiet: bool
) -> "Parts":
    """What the application is made of, every kernel compiled: no request waits for that. Raises ModelError."""
    compiled = cached_kernels(KERNELS, quiet=quiet)
    from sensor.api.app import Parts
    from sensor.api.guard import OWN_NAMES, Guard
    from sensor.api.scoring import Scorer
    from sensor.api.warmup import warm_up
    from sensor.episodes.reasons import Explainer

    hybrid = load_model(config)
    rate = held_rate(config, hybrid)
    form = form_for(hybrid)
    copies = max(2, min(8, os.cpu_count() or 2))
    names = OWN_NAMES | {address.host} if address.is_own and address.path is None else None
    parts = Parts(
        scorer=Scorer(hybrid, Explainer(hybrid.normal), rate, copies),
        form=form,
        guard=Guard(token, names),
        captures=captures_for(config, hybrid) if form.takes_flows else None,
        life=life,
        log=_log if verbose else None,
    )
    with ended_by_interrupt():
        warm_up(parts.scorer, parts.captures)
    if not compiled:
        kernels_are_compiled(KERNELS)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
    return parts


def form_for(hybrid: "Hybrid") -> "RecordForm":
    """The rows that a model takes, by its feature contract."""
    from flows.kdd.columns import kdd_contract
    from sensor.api.cic import CicForm
    from sensor.api.kdd import KddForm

    for content in (True, False):
        if hybrid.contract == kdd_contract(content=content):
            return KddForm(content=content)
    return CicForm(hybrid)


def captures_for(config: "Config", hybrid: "Hybrid") -> "Captures":
    """How captures become rows of a model that scores what a meter gives."""
    from flows.columns import feature_contract
    from flows.kdd.meter import Connections
    from sensor.api.captured import Captures, own_values

    def new_columns() -> "Columns":
        return own_values if hybrid.contract == feature_contract() else Connections(CONNECTION_HOSTS).columns

    return Captures(partial(build_table_meter, config), new_columns)


def _log(line: bytes) -> None:
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()
