"""CICFlowMeter-style flows from packets, as a library: blocks of packets in, flow records out.

Names load when they are first used: numba and the kernels only with Meter.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.batch import END_REASONS, FlowBatch, address
    from flows.block import PacketBlock, block_of
    from flows.columns import COLUMNS, Column, feature_contract
    from flows.dialects import DIALECTS, Dialect, as_columns
    from flows.meter import Meter, MeterStats, concatenate

__all__ = [
    "COLUMNS",
    "DIALECTS",
    "END_REASONS",
    "Column",
    "Dialect",
    "FlowBatch",
    "Meter",
    "MeterStats",
    "PacketBlock",
    "address",
    "as_columns",
    "block_of",
    "concatenate",
    "feature_contract",
]

_MODULES = {
    "COLUMNS": "columns",
    "DIALECTS": "dialects",
    "END_REASONS": "batch",
    "Column": "columns",
    "Dialect": "dialects",
    "FlowBatch": "batch",
    "Meter": "meter",
    "MeterStats": "meter",
    "PacketBlock": "block",
    "address": "batch",
    "as_columns": "dialects",
    "block_of": "block",
    "concatenate": "meter",
    "feature_contract": "columns",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"flows.{_MODULES[name]}"), name)
