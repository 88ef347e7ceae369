"""Classic BPF programs: the filter of a packet socket built from several, and an interpreter for stored packets.

It knows neither libpcap nor sockets; programs come from sensor.sources.filters.libpcap. Sources: linux/filter.h and
Documentation/networking/filter.rst; McCanne and Jacobson, The BSD Packet Filter, 1993.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy import int64

from flows.block import Bytes, Int64s, PacketBlock
from flows.jit import U, Word, entry, inner
from flows.linktypes import be16, be32
from sensor.errors import ConfigError
from sensor.sources.pairs import lookup

Instruction = tuple[
    int, int, int, int
]  # code, steps to skip when a jump's condition jump_taken and when not, constant k

# Parts of a code: its class, then size and mode of a load, or an operation and the source of its operand.
LD, LDX, ST, STX, ALU, JMP, RET, MISC = range(8)
CLASS, SIZE, MODE, OPERATION, OPERAND_X = 0x07, 0x18, 0xE0, 0xF0, 0x08
HALF, BYTE = 0x08, 0x10  # 0 for a word
IMMEDIATE, ABSOLUTE, INDIRECT, MEMORY, LENGTH, HEADER = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR = range(0x00, 0xB0, 0x10)
JA, JEQ, JGT, JGE, JSET = range(0x00, 0x50, 0x10)

BYTES_OF: Final = {0: 4, HALF: 2, BYTE: 1}
LOADS: Final = {mode | size | LD for mode in (ABSOLUTE, INDIRECT) for size in BYTES_OF}  # from the packet to A
LD_LENGTH, LDX_LENGTH, LD_MEMORY, LDX_MEMORY = LENGTH | LD, LENGTH | LDX, MEMORY | LD, MEMORY | LDX
HEADER_LENGTH = HEADER | BYTE | LDX
ACCEPT_IF_A, TAX, TXA = 0x16, 0x07, 0x87
JUMP, IF_EQUAL, IF_ABOVE, IF_AT_LEAST = JA | JMP, JEQ | JMP, JGT | JMP, JGE | JMP
DIVIDE_X, MODULO_X = DIV | OPERAND_X | ALU, MOD | OPERAND_X | ALU
MEMORY_CODES: Final = {LD_MEMORY, LDX_MEMORY, ST, STX}
SHIFTS: Final = {LSH | ALU, RSH | ALU}
DIVISIONS: Final = {DIV | ALU, MOD | ALU}
VALID_CODES: Final = (
    LOADS
    | MEMORY_CODES
    | {IMMEDIATE | LD, IMMEDIATE | LDX, LD_LENGTH, LDX_LENGTH, HEADER_LENGTH, TAX, TXA, RET, ACCEPT_IF_A, NEG | ALU}
    | {operation | source | ALU for operation in range(ADD, XOR + 1, 0x10) if operation != NEG for source in (0, 8)}
    | {JUMP}
    | {condition | source | JMP for condition in (JEQ, JGT, JGE, JSET) for source in (0, 8)}
)

MEMORY_WORDS: Final = 16  # BPF_MEMWORDS
MASK: Final = 0xFFFFFFFF
MAX_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS
MAX_JUMP: Final = 255  # instructions that a conditional jump can skip
WHOLE_PACKET: Final = 0x40000  # bytes, more than any packet has
KERNEL_ONLY: Final = 0xFFFFF000  # SKF_AD_OFF: loads from here on read metadata of the kernel
PACKET_TYPE, INTERFACE = KERNEL_ONLY + 4, KERNEL_ONLY + 8
OUTGOING: Final = 4  # PACKET_OUTGOING
MAX_OFFSET: Final = (1 << 31) - 5  # of a load from the packet in the kernel, with its 4 bytes
STRIDE: Final = 4  # numbers of an instruction in a flat program


@dataclass(frozen=True, slots=True)
class BpfProgram:
    """A filter expression compiled for one link type."""

    expression: str
    linktype: int  # LINKTYPE_ number
    instructions: tuple[Instruction, ...]


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


def check_program(program: BpfProgram) -> None:
    """Verify that the interpreter terminates and stays within its memory, as the kernel does (bpf_check_classic).

    Raises ConfigError.
    """
    steps = program.instructions
    where = f"filter program for link type {program.linktype}"
    if not 0 < len(steps) <= MAX_INSTRUCTIONS:
        raise ConfigError(f"{where}: {len(steps)} instructions, expected 1 to {MAX_INSTRUCTIONS}")
    for at, step in enumerate(steps):
        fault = _fault(step, len(steps) - at - 1)
        if fault:
            raise ConfigError(f"{where}: instruction {at}: {fault}")
    if steps[-1][0] not in (RET, ACCEPT_IF_A):
        raise ConfigError(f"{where}: the last instruction has code {steps[-1][0]:#x}, expected a return")
    unset = _reads_unset_memory(steps)
    if unset is not None:
        raise ConfigError(f"{where}: instruction {unset}: memory {steps[unset][3]} is read before it is set")


def _fault(step: Instruction, behind: int) -> str | None:
    """What is wrong with an instruction, None if nothing. behind: number of instructions after it."""
    code, jt, jf, k = step
    if code not in VALID_CODES:
        return f"unknown code {code:#x}"
    if not (0 <= jt <= MAX_JUMP and 0 <= jf <= MAX_JUMP and 0 <= k <= MASK):
        return "a number is out of its range"
    if code & CLASS == JMP:
        farthest = k if code == JUMP else max(jt, jf)
        if farthest >= behind:
            return f"jumps over {farthest} of {behind} instructions, expected one to land on"
    if code in MEMORY_CODES and k >= MEMORY_WORDS:
        return f"memory {k}, expected less than {MEMORY_WORDS}"
    if code in DIVISIONS and k == 0:
        return "divides by the constant 0"
    if code in SHIFTS and k >= 32:
        return f"shifts by {k} bits, expected less than 32"
    if code in LOADS and code & MODE == ABSOLUTE and k >= KERNEL_ONLY:
        return f"loads from {k:#x}, which only the kernel can, expected a program compiled for a file"
    return None


def _reads_unset_memory(steps: Sequence[Instruction]) -> int | None:
    """The first instruction that may read an unset memory word. Jumps only lead forward: one pass is enough."""
    every = (1 << MEMORY_WORDS) - 1
    certain = [0] + [every] * (len(steps) - 1)  # bits of the words that are set on every path to an instruction
    for at, (code, jt, jf, k) in enumerate(steps):
        words = certain[at]
        if code in (LD_MEMORY, LDX_MEMORY) and not words >> k & 1:
            return at
        if code in (ST, STX):
            words |= 1 << k
        skips = {k} if code == JUMP else {jt, jf} if code & CLASS == JMP else {0}
        if code & CLASS != RET:
            for skip in skips:
                certain[at + 1 + skip] &= words
    return None


class PacketFilter:
    """Applies a capture filter to blocks of packets, with the results of pcap_offline_filter."""

    def __init__(self, compile_for: Callable[[int], BpfProgram]) -> None:
        """compile_for: returns the program for a link type, called at its first packet; its errors pass through."""
        self.filtered = 0  # packets that were rejected
        self._compile_for = compile_for
        self._steps: Int64s = np.zeros(0, dtype=np.int64)
        self._starts: Int64s = np.zeros(0, dtype=np.int64)
        self._memory: Int64s = np.zeros(MEMORY_WORDS, dtype=np.int64)
        self._accepted: Int64s = np.zeros(0, dtype=np.int64)

    def apply(self, block: PacketBlock) -> PacketBlock:
        """The accepted packets, in their order and in the same buffer; the block itself when all are accepted.

        Raises ConfigError for a program that the verification refuses.
        """
        if len(self._accepted) < len(block):
            self._accepted = np.zeros(len(block), dtype=np.int64)
        count, seen = self._run(block)
        while seen < len(block):
            self._add(int(block.linktype[seen]))
            count, seen = self._run(block)
        self.filtered += len(block) - count
        if count == len(block):
            return block
        accepted = self._accepted[:count]
        return PacketBlock(
            block.buffer,
            block.offset[accepted],
            block.caplen[accepted],
            block.wirelen[accepted],
            block.ts_ns[accepted],
            block.linktype[accepted],
        )

    def _run(self, block: PacketBlock) -> tuple[int, int]:
        return run_filters(
            block.buffer,
            block.offset,
            block.caplen,
            block.wirelen,
            block.linktype,
            self._starts,
            self._steps,
            self._memory,
            self._accepted,
        )

    def _add(self, linktype: int) -> None:
        program = self._compile_for(linktype)
        check_program(program)
        start = len(self._steps)
        self._steps = np.concatenate([self._steps, _flat(program.instructions, start)])
        self._starts = np.append(self._starts, [linktype, start])


def _flat(steps: Sequence[Instruction], start: int) -> Int64s:
    """Encode a program from a position on, STRIDE numbers for each instruction, with absolute jump targets."""
    flat = []
    for at, (code, jt, jf, k) in enumerate(steps):
        following = start + STRIDE * (at + 1)
        skipped = (k, k) if code == JUMP else (jt, jf)
        flat += [code, following + STRIDE * skipped[0], following + STRIDE * skipped[1], k]
    return np.array(flat, dtype=np.int64)


@inner
def load_packet(buffer: Bytes, start: Word, caplen: Word, at: Word, size: Word) -> Word:
    """Unsigned number of the packet in network order, or -1 beyond the captured bytes."""
    if size == BYTE:
        return int64(buffer[U(start + at)]) if at + 1 <= caplen else int64(-1)
    if size == HALF:
        return be16(buffer, start + at) if at + 2 <= caplen else int64(-1)
    return be32(buffer, start + at) if at + 4 <= caplen else int64(-1)


@inner
def load(buffer: Bytes, start: Word, caplen: Word, wirelen: Word, memory: Int64s, code: Word, k: Word, x: Word) -> Word:
    """Value of a load, or -1 beyond the captured bytes."""
    mode = code & MODE
    if mode == ABSOLUTE:
        return load_packet(buffer, start, caplen, k, code & SIZE)
    if mode == INDIRECT:
        return load_packet(buffer, start, caplen, k + x, code & SIZE)
    if mode == HEADER:
        value = load_packet(buffer, start, caplen, k, BYTE)
        return (value & 0xF) << 2 if value >= 0 else value
    if mode == LENGTH:
        return wirelen & MASK
    if mode == MEMORY:
        return memory[U(k)]
    return k


@inner
def alu(operation: Word, a: Word, operand: Word) -> Word:
    """Unsigned 32-bit arithmetic with a divisor other than zero. As in libpcap, shifts of 32 bits or more give 0."""
    if operation == ADD:
        return (a + operand) & MASK
    if operation == SUB:
        return (a - operand) & MASK
    if operation == MUL:
        return (a * operand) & MASK
    if operation == DIV:
        return a // operand
    if operation == MOD:
        return a % operand
    if operation == AND:
        return a & operand
    if operation == OR:
        return a | operand
    if operation == XOR:
        return a ^ operand
    if operation == LSH:
        return (a << operand) & MASK if operand < 32 else int64(0)
    if operation == RSH:
        return a >> operand if operand < 32 else int64(0)
    return -a & MASK


@inner
def jump_taken(condition: Word, a: Word, operand: Word) -> bool:
    """Whether the condition of a jump holds."""
    if condition == JEQ:
        return bool(a == operand)
    if condition == JGT:
        return bool(a > operand)
    if condition == JGE:
        return bool(a >= operand)
    if condition == JSET:
        return bool(a & operand != 0)
    return True


@inner
def accepts(  # noqa: PLR0912  one branch a class of instruction
    buffer: Bytes, start: Word, caplen: Word, wirelen: Word, steps: Int64s, at: Word, memory: Int64s
) -> bool:
    """Whether the encoded, verified program at a position accepts a packet."""
    a = x = int64(0)
    while True:
        code, k = steps[U(at)], steps[U(at + 3)]
        kind = code & CLASS
        operand = x if code & OPERAND_X else k
        if kind == JMP:
            at = steps[U(at + 1)] if jump_taken(code & OPERATION, a, operand) else steps[U(at + 2)]
            continue
        if kind == RET:
            return bool((a if code == ACCEPT_IF_A else k) != 0)
        if kind == ALU:
            operation = code & OPERATION
            if operand == 0 and operation in (DIV, MOD):
                return False
            a = alu(operation, a, operand)
        elif kind in (LD, LDX):
            value = load(buffer, start, caplen, wirelen, memory, code, k, x)
            if value < 0:
                return False
            if kind == LD:
                a = value
            else:
                x = value
        elif kind == ST:
            memory[U(k)] = a
        elif kind == STX:
            memory[U(k)] = x
        elif code == TAX:
            x = a
        else:
            a = x
        at += STRIDE


@entry
def run_filters(
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    linktype: Int64s,
    starts: Int64s,
    steps: Int64s,
    memory: Int64s,
    accepted: Int64s,
) -> tuple[int, int]:
    """Filter a block: (accepted packets, packets processed until one of a link type without a program).

    buffer to linktype: of a PacketBlock. starts: pairs of a link type and the position of its program in `steps`.
    memory: (16,), scratch. accepted: (n,) or more, receives the numbers of the accepted packets.
    """
    count = 0
    last = at = int64(-1)
    for packet in range(len(offset)):
        link = linktype[U(packet)]
        if at < 0 or link != last:
            at, last = int64(lookup(starts, link, -1)), link
            if at < 0:
                return count, packet
        if accepts(buffer, offset[U(packet)], caplen[U(packet)], wirelen[U(packet)], steps, at, memory):
            accepted[U(count)] = packet
            count += 1
    return count, len(offset)
