"""The filter of a packet socket, classic BPF: one program built from those of several interfaces, or its complement.

It knows no socket. Sources: linux/filter.h and Documentation/networking/filter.rst.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from sensor.errors import ConfigError
from sensor.sources.filters.bpf import (
    ABSOLUTE,
    ACCEPT_IF_A,
    ADD,
    ALU,
    BYTES_OF,
    CLASS,
    DIVIDE_X,
    HEADER_LENGTH,
    IF_ABOVE,
    IF_AT_LEAST,
    IF_EQUAL,
    INDIRECT,
    JMP,
    JUMP,
    KERNEL_ONLY,
    LD,
    LD_LENGTH,
    LD_MEMORY,
    LDX_LENGTH,
    LDX_MEMORY,
    LOADS,
    MAX_INSTRUCTIONS,
    MAX_JUMP,
    MEMORY_CODES,
    MEMORY_WORDS,
    MODE,
    MODULO_X,
    OPERAND_X,
    RET,
    SIZE,
    ST,
    STX,
    TXA,
    BpfProgram,
    Instruction,
)

WHOLE_PACKET: Final = 0x40000  # bytes, more than any packet has
PACKET_TYPE, INTERFACE = KERNEL_ONLY + 4, KERNEL_ONLY + 8
OUTGOING: Final = 4  # PACKET_OUTGOING
MAX_OFFSET: Final = (1 << 31) - 5  # of a load from the packet in the kernel, with its 4 bytes


@dataclass(frozen=True, slots=True)
class InterfaceRule:
    """Which packets of an interface a socket accepts."""

    index: int  # of the interface in the kernel
    skip_outgoing: bool  # accept no packet that leaves by the interface
    program: BpfProgram | None  # None: all packets


def socket_program(rules: Sequence[InterfaceRule], *, complement: bool = False) -> list[Instruction]:
    """A socket filter that accepts what the rules accept, or as complement what their programs reject.

    Packets of other interfaces and those that a rule skips are accepted by neither. Raises ConfigError when it is too
    long for the kernel.
    """
    bodies = {(rule.skip_outgoing, rule.program): _body(rule, complement) for rule in rules}
    start = 2 + 2 * len(rules)
    starts = dict(zip(bodies, accumulate(map(len, bodies.values()), initial=start), strict=False))
    out: list[Instruction] = [(ABSOLUTE | LD, 0, 0, INTERFACE)]
    for rule in rules:
        # A body may be farther away than a conditional jump reaches.
        there = starts[rule.skip_outgoing, rule.program] - len(out) - 2
        out += [(IF_EQUAL, 0, 1, rule.index), (JUMP, 0, 0, there)]
    out.append((RET, 0, 0, 0))
    for body in bodies.values():
        out += body
    if len(out) > MAX_INSTRUCTIONS:
        raise ConfigError(
            f"capture.filter: {len(out)} instructions for {len(rules)} interfaces, expected at most "
            f"{MAX_INSTRUCTIONS}: a shorter expression, or networks in place of many hosts"
        )
    return out


def _body(rule: InterfaceRule, complement: bool) -> list[Instruction]:
    steps: Sequence[Instruction] = rule.program.instructions if rule.program else [(RET, 0, 0, WHOLE_PACKET)]
    skip = [(ABSOLUTE | LD, 0, 0, PACKET_TYPE), (IF_EQUAL, 0, 1, OUTGOING), (RET, 0, 0, 0)]
    return (skip if rule.skip_outgoing else []) + (_complement(steps) if complement else _accepting_whole(steps))


def _accepting_whole(steps: Sequence[Instruction]) -> list[Instruction]:
    """The same filter, which accepts packets as a whole."""
    return _resolve_jumps([_return_as(step, WHOLE_PACKET, 0) for step in steps])


def _complement(steps: Sequence[Instruction]) -> list[Instruction]:
    """A filter that accepts what this one rejects, also what it rejects by failing.

    The kernel rejects a packet when a load reaches beyond its end and when a divisor is zero. The complement would
    reject it too, so such instructions are guarded.
    """
    used = {k for code, _, _, k in steps if code in MEMORY_CODES}
    spare = min(set(range(MEMORY_WORDS)) - used, default=None)
    if spare is None:
        raise ConfigError(f"capture.filter: the expression needs all {MEMORY_WORDS} cells of memory, expected fewer")
    return _resolve_jumps([[*_guard(step, spare), *_return_as(step, 0, WHOLE_PACKET)] for step in steps])


def _return_as(step: Instruction, accepted: int, rejected: int) -> list[Instruction]:
    """An instruction whose return value, if it is a return, is one of two constants."""
    code, _, _, k = step
    if code == RET:
        return [(RET, 0, 0, accepted if k else rejected)]
    if code == ACCEPT_IF_A:
        return [(IF_EQUAL, 0, 1, 0), (RET, 0, 0, rejected), (RET, 0, 0, accepted)]
    return [step]


def _guard(step: Instruction, spare: int) -> list[Instruction]:
    """Instructions that accept the packet when this one would fail; they preserve X, and A unless this one sets it."""
    code, _, _, k = step
    accept = (RET, 0, 0, WHOLE_PACKET)
    if code in (DIVIDE_X, MODULO_X):
        return [(ST, 0, 0, spare), (TXA, 0, 0, 0), (IF_EQUAL, 0, 1, 0), accept, (LD_MEMORY, 0, 0, spare)]
    size = BYTES_OF[code & SIZE] if code in LOADS else 1
    if code in LOADS and code & MODE == INDIRECT:
        # The kernel adds in 32 bits: what wraps around may be an offset again.
        offset = [(STX, 0, 0, spare), (TXA, 0, 0, 0), (ADD | ALU, 0, 0, k), (IF_ABOVE, 0, 1, MAX_OFFSET), accept]
        end = [(ADD | ALU, 0, 0, size), (LDX_LENGTH, 0, 0, 0), (IF_ABOVE | OPERAND_X, 0, 1, 0), accept]
        return [*offset, *end, (LDX_MEMORY, 0, 0, spare)]
    reach = [(LD_LENGTH, 0, 0, 0), (IF_AT_LEAST, 1, 0, k + size), accept]
    if k > MAX_OFFSET:  # to the kernel not an offset into the packet
        return []
    if code == HEADER_LENGTH:
        return [(ST, 0, 0, spare), *reach, (LD_MEMORY, 0, 0, spare)]
    return reach if code in LOADS else []


def _resolve_jumps(pieces: Sequence[Sequence[Instruction]]) -> list[Instruction]:
    """Concatenate pieces of code, and resolve the jump at the end of a piece from pieces to instructions."""
    far: set[int] = set()  # pieces whose conditional jump reaches by way of two unconditional ones
    while True:
        begins = list(accumulate((len(piece) + 2 * (at in far) for at, piece in enumerate(pieces)), initial=0))
        out: list[Instruction] = []
        near = len(far)
        for at, piece in enumerate(pieces):
            code, jt, jf, k = piece[-1]
            here = len(out) + len(piece)
            out += piece[:-1]
            if code == JUMP:
                out.append((code, 0, 0, begins[at + 1 + k] - here))
            elif code & CLASS == JMP:
                yes, no = begins[at + 1 + jt] - here, begins[at + 1 + jf] - here
                if at in far:
                    out += [(code, 0, 1, k), (JUMP, 0, 0, yes - 1), (JUMP, 0, 0, no - 2)]
                else:
                    out.append((code, yes, no, k))
                    if max(yes, no) > MAX_JUMP:
                        far.add(at)
            else:
                out.append(piece[-1])
        if len(far) == near:
            return out
