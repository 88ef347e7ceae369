"""The options that override settings, as one value, and the effective settings with them."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

from sensor import log
from sensor.cli.options import (
    BundleOption,
    ConfigOption,
    DecapOption,
    FilterOption,
    FlowsOption,
    KeepPacketsOption,
    OutputOption,
    PromiscuousOption,
    SetOption,
    SiteOption,
)

if TYPE_CHECKING:
    from sensor.settings.config import Config, EffectiveConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The options that override settings: all that watch has, in the order of its help."""

    output: OutputOption = None
    model: BundleOption = None
    config: ConfigOption = None
    overrides: SetOption = None
    expression: FilterOption = None
    promiscuous: PromiscuousOption = False
    decap: DecapOption = False
    keep_packets: KeepPacketsOption = None
    flows: FlowsOption = None
    site: SiteOption = None

    def settings(self) -> "Config":
        """Settings of all sources, of which these options have precedence. Raises ConfigError."""
        return self.effective().config

    def effective(self) -> "EffectiveConfig":
        """The same settings with the origin of each. Raises ConfigError."""
        from sensor.settings.config import effective_config
        from sensor.settings.setting import Setting

        keep_packets = None if self.keep_packets is None else str(self.keep_packets)
        flags = (
            Setting("output.file", None if self.output is None else str(self.output), "--output"),
            Setting("keep_packets.directory", keep_packets, "--keep-packets"),
            Setting("flow_log.directory", None if self.flows is None else str(self.flows), "--flows"),
            Setting("site.file", None if self.site is None else str(self.site), "--site"),
            Setting("detection.bundle", self.model, "--model"),
            Setting("capture.filter", self.expression, "--filter"),
            Setting("meter.decapsulate", self.decap or None, "--decap"),
            Setting("capture.promiscuous", self.promiscuous or None, "--promiscuous"),
        )
        given = (flag for flag in flags if flag.value is not None)
        found = effective_config(self.config, os.environ, self.overrides or (), given)
        for name, place in found.places.items():
            log.debug(f"{name} comes from {place}")
        return found


Command = Callable[..., int | None]


def with_flags(*names: str) -> Callable[[Command], Command]:
    """Decorator that replaces a command's parameter `flags` by options of Flags.

    names: of those options, in the order of Flags; without any, all of them.
    """
    all_options = inspect.signature(Flags).parameters
    options = {name: option for name, option in all_options.items() if not names or name in names}

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)

        @wraps(command)
        def taking_options(**given: Any) -> int | None:
            flags = Flags(**{name: given.pop(name) for name in options})
            return command(**given, flags=flags)

        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
            parameters += options.values() if parameter.name == "flags" else own
        # typer reads these two.
        taking_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        hints = get_type_hints(command, include_extras=True) | get_type_hints(Flags, include_extras=True)
        taking_options.__annotations__ = {name: hints[name] for name in [parameter.name for parameter in parameters]}
        return taking_options

    return decorate
