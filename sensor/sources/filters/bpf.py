"""Classic BPF programs: one filter for a packet socket out of several, and filters run over stored packets.

Refuses to know libpcap and sockets; programs come from sensor.sources.filters.libpcap. Sources: linux/filter.h and
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
from sensor.sources.pairs import found_at

Instruction = tuple[int, int, int, int]  # code, steps to skip when a jump's condition holds and when not, constant k

# What a code is made of: its class, then the size and mode of a load, or an operation and where its operand is.
LD, LDX, ST, STX, ALU, JMP, RET, MISC = range(8)
KIND, SIZE, MODE, OPERATION, OPERAND_X = 0x07, 0x18, 0xE0, 0xF0, 0x08
HALF, BYTE = 0x08, 0x10  # a word is 0
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
KNOWN: Final = (
    LOADS
    | MEMORY_CODES
    | {IMMEDIATE | LD, IMMEDIATE | LDX, LD_LENGTH, LDX_LENGTH, HEADER_LENGTH, TAX, TXA, RET, ACCEPT_IF_A, NEG | ALU}
    | {operation | source | ALU for operation in range(ADD, XOR + 1, 0x10) if operation != NEG for source in (0, 8)}
    | {JUMP}
    | {condition | source | JMP for condition in (JEQ, JGT, JGE, JSET) for source in (0, 8)}
)

WORDS: Final = 16  # BPF_MEMWORDS, cells of scratch memory
MASK: Final = 0xFFFFFFFF
MOST: Final = 4096  # BPF_MAXINSNS
FARTHEST: Final = 255  # steps that a conditional jump can skip
WHOLE: Final = 0x40000  # bytes, more than any packet has
KERNEL_ONLY: Final = 0xFFFFF000  # SKF_AD_OFF: loads from here on ask the kernel what is not in the packet
PACKET_TYPE, INTERFACE = KERNEL_ONLY + 4, KERNEL_ONLY + 8
OUTGOING: Final = 4  # PACKET_OUTGOING
LARGEST: Final = (1 << 31) - 5  # offset that the kernel looks for in the packet, with its 4 bytes
STRIDE: Final = 4  # numbers of an instruction in a flat program


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled filter: which packets of a link type (LINKTYPE_ number) the expression takes."""

    expression: str
    linktype: int
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is taken of an interface: all, or what a program takes; on request nothing that leaves by it."""

    index: int  # of the interface in the kernel
    skip_outgoing: bool
    program: Program | None


def socket_program(rules: Sequence[Rule], *, complement: bool = False) -> list[Instruction]:
    """A socket filter that takes what the rules take, or of the same packets those that their programs leave out.

    Packets of other interfaces and those a rule skips are in neither. Raises ConfigError when it is too long for the
    kernel.
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
    if len(out) > MOST:
        raise ConfigError(
            f"capture.filter: {len(out)} instructions for {len(rules)} interfaces, expected at most {MOST}: "
            "a shorter expression, or networks in place of many hosts"
        )
    return out


def _body(rule: Rule, complement: bool) -> list[Instruction]:
    steps: Sequence[Instruction] = rule.program.instructions if rule.program else [(RET, 0, 0, WHOLE)]
    skip = [(ABSOLUTE | LD, 0, 0, PACKET_TYPE), (IF_EQUAL, 0, 1, OUTGOING), (RET, 0, 0, 0)]
    return (skip if rule.skip_outgoing else []) + (_exchanged(steps) if complement else _whole(steps))


def _whole(steps: Sequence[Instruction]) -> list[Instruction]:
    """The same filter, taking packets whole."""
    return _laid_out([_answer(step, WHOLE, 0) for step in steps])


def _exchanged(steps: Sequence[Instruction]) -> list[Instruction]:
    """A filter that takes what this one rejects, also by failing.

    The kernel rejects when a load reaches past the packet's end and when a divisor is zero. That would be a rejection
    here too, so such steps are guarded.
    """
    used = {k for code, _, _, k in steps if code in MEMORY_CODES}
    spare = min(set(range(WORDS)) - used, default=None)
    if spare is None:
        raise ConfigError(f"capture.filter: the expression needs all {WORDS} cells of memory, expected fewer")
    return _laid_out([[*_guard(step, spare), *_answer(step, 0, WHOLE)] for step in steps])


def _answer(step: Instruction, taken: int, rejected: int) -> list[Instruction]:
    code, _, _, k = step
    if code == RET:
        return [(RET, 0, 0, taken if k else rejected)]
    if code == ACCEPT_IF_A:
        return [(IF_EQUAL, 0, 1, 0), (RET, 0, 0, rejected), (RET, 0, 0, taken)]
    return [step]


def _guard(step: Instruction, spare: int) -> list[Instruction]:
    """Steps that take the packet when this one would fail, and leave all as it was but A where this one sets it."""
    code, _, _, k = step
    take = (RET, 0, 0, WHOLE)
    if code in (DIVIDE_X, MODULO_X):
        return [(ST, 0, 0, spare), (TXA, 0, 0, 0), (IF_EQUAL, 0, 1, 0), take, (LD_MEMORY, 0, 0, spare)]
    size = BYTES_OF[code & SIZE] if code in LOADS else 1
    if code in LOADS and code & MODE == INDIRECT:
        # The kernel adds in 32 bits: what wraps around may be an offset again.
        offset = [(STX, 0, 0, spare), (TXA, 0, 0, 0), (ADD | ALU, 0, 0, k), (IF_ABOVE, 0, 1, LARGEST), take]
        end = [(ADD | ALU, 0, 0, size), (LDX_LENGTH, 0, 0, 0), (IF_ABOVE | OPERAND_X, 0, 1, 0), take]
        return [*offset, *end, (LDX_MEMORY, 0, 0, spare)]
    reach = [(LD_LENGTH, 0, 0, 0), (IF_AT_LEAST, 1, 0, k + size), take]
    if k > LARGEST:  # to the kernel not an offset into the packet
        return []
    if code == HEADER_LENGTH:
        return [(ST, 0, 0, spare), *reach, (LD_MEMORY, 0, 0, spare)]
    return reach if code in LOADS else []


def _laid_out(pieces: Sequence[Sequence[Instruction]]) -> list[Instruction]:
    """The pieces in a row. A jump at the end of one counts pieces and is made to count steps."""
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
            elif code & KIND == JMP:
                yes, no = begins[at + 1 + jt] - here, begins[at + 1 + jf] - here
                if at in far:
                    out += [(code, 0, 1, k), (JUMP, 0, 0, yes - 1), (JUMP, 0, 0, no - 2)]
                else:
                    out.append((code, yes, no, k))
                    if max(yes, no) > FARTHEST:
                        far.add(at)
            else:
                out.append(piece[-1])
        if len(far) == near:
            return out


def check_program(program: Program) -> None:
    """Refuse what the interpreter must not run: after this it ends, and stays inside of its memory.

    As the kernel does (bpf_check_classic). Raises ConfigError.
    """
    steps = program.instructions
    where = f"filter program for link type {program.linktype}"
    if not 0 < len(steps) <= MOST:
        raise ConfigError(f"{where}: {len(steps)} instructions, expected 1 to {MOST}")
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
    """What is wrong with an instruction that has this many behind it."""
    code, jt, jf, k = step
    if code not in KNOWN:
        return f"unknown code {code:#x}"
    if not (0 <= jt <= FARTHEST and 0 <= jf <= FARTHEST and 0 <= k <= MASK):
        return "a number is out of its range"
    if code & KIND == JMP:
        farthest = k if code == JUMP else max(jt, jf)
        if farthest >= behind:
            return f"jumps over {farthest} of {behind} instructions, expected one to land on"
    if code in MEMORY_CODES and k >= WORDS:
        return f"memory {k}, expected less than {WORDS}"
    if code in DIVISIONS and k == 0:
        return "divides by the constant 0"
    if code in SHIFTS and k >= 32:
        return f"shifts by {k} bits, expected less than 32"
    if code in LOADS and code & MODE == ABSOLUTE and k >= KERNEL_ONLY:
        return f"loads from {k:#x}, which only the kernel can, expected a program compiled for a file"
    return None


def _reads_unset_memory(steps: Sequence[Instruction]) -> int | None:
    """The first step that may read a cell of memory nobody has set. Jumps only lead forward: one pass is enough."""
    every = (1 << WORDS) - 1
    certain = [0] + [every] * (len(steps) - 1)  # cells set whichever way a step is reached, as bits
    for at, (code, jt, jf, k) in enumerate(steps):
        cells = certain[at]
        if code in (LD_MEMORY, LDX_MEMORY) and not cells >> k & 1:
            return at
        if code in (ST, STX):
            cells |= 1 << k
        skips = {k} if code == JUMP else {jt, jf} if code & KIND == JMP else {0}
        if code & KIND != RET:
            for skip in skips:
                certain[at + 1 + skip] &= cells
    return None


class PacketFilter:
    """Takes out of blocks what a capture filter leaves out, as pcap_offline_filter would.

    compile_for: the program for a link type, called when its first packet is met; its errors pass through.
    """

    def __init__(self, compile_for: Callable[[int], Program]) -> None:
        self.filtered = 0  # packets left out
        self._compile_for = compile_for
        self._steps: Int64s = np.zeros(0, dtype=np.int64)
        self._starts: Int64s = np.zeros(0, dtype=np.int64)
        self._memory: Int64s = np.zeros(WORDS, dtype=np.int64)
        self._kept: Int64s = np.zeros(0, dtype=np.int64)

    def apply(self, block: PacketBlock) -> PacketBlock:
        """The packets that pass, in their order and in the same buffer; the block itself when all do.

        Raises ConfigError for a program that cannot be run.
        """
        if len(self._kept) < len(block):
            self._kept = np.zeros(len(block), dtype=np.int64)
        count, seen = self._run(block)
        while seen < len(block):
            self._add(int(block.linktype[seen]))
            count, seen = self._run(block)
        self.filtered += len(block) - count
        if count == len(block):
            return block
        kept = self._kept[:count]
        return PacketBlock(
            block.buffer,
            block.offset[kept],
            block.caplen[kept],
            block.wirelen[kept],
            block.ts_ns[kept],
            block.linktype[kept],
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
            self._kept,
        )

    def _add(self, linktype: int) -> None:
        program = self._compile_for(linktype)
        check_program(program)
        start = len(self._steps)
        self._steps = np.concatenate([self._steps, _flat(program.instructions, start)])
        self._starts = np.append(self._starts, [linktype, start])


def _flat(steps: Sequence[Instruction], start: int) -> Int64s:
    """Instructions one behind the other from a position on; jumps tell the positions they lead to."""
    flat = []
    for at, (code, jt, jf, k) in enumerate(steps):
        following = start + STRIDE * (at + 1)
        skipped = (k, k) if code == JUMP else (jt, jf)
        flat += [code, following + STRIDE * skipped[0], following + STRIDE * skipped[1], k]
    return np.array(flat, dtype=np.int64)


@inner
def number_at(buffer: Bytes, start: Word, caplen: Word, at: Word, size: Word) -> Word:
    """Unsigned number of a load's size in network order, or -1 where not all of it was captured."""
    if size == BYTE:
        return int64(buffer[U(start + at)]) if at + 1 <= caplen else int64(-1)
    if size == HALF:
        return be16(buffer, start + at) if at + 2 <= caplen else int64(-1)
    return be32(buffer, start + at) if at + 4 <= caplen else int64(-1)


@inner
def loaded(
    buffer: Bytes, start: Word, caplen: Word, wirelen: Word, memory: Int64s, code: Word, k: Word, x: Word
) -> Word:
    """What a load gives, or -1 where the packet does not reach."""
    mode = code & MODE
    if mode == ABSOLUTE:
        return number_at(buffer, start, caplen, k, code & SIZE)
    if mode == INDIRECT:
        return number_at(buffer, start, caplen, k + x, code & SIZE)
    if mode == HEADER:
        value = number_at(buffer, start, caplen, k, BYTE)
        return (value & 0xF) << 2 if value >= 0 else value
    if mode == LENGTH:
        return wirelen & MASK
    if mode == MEMORY:
        return memory[U(k)]
    return k


@inner
def computed(operation: Word, a: Word, operand: Word) -> Word:
    """Arithmetic of 32 bits without sign; a divisor is not zero. Shifts as in libpcap: nothing is left from 32 on."""
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
def holds(condition: Word, a: Word, operand: Word) -> bool:
    """Whether a jump takes its first way."""
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
    """Run the flat program at a position, which was checked, on a packet."""
    a = x = int64(0)
    while True:
        code, k = steps[U(at)], steps[U(at + 3)]
        kind = code & KIND
        operand = x if code & OPERAND_X else k
        if kind == JMP:
            at = steps[U(at + 1)] if holds(code & OPERATION, a, operand) else steps[U(at + 2)]
            continue
        if kind == RET:
            return bool((a if code == ACCEPT_IF_A else k) != 0)
        if kind == ALU:
            operation = code & OPERATION
            if operand == 0 and operation in (DIV, MOD):
                return False
            a = computed(operation, a, operand)
        elif kind in (LD, LDX):
            value = loaded(buffer, start, caplen, wirelen, memory, code, k, x)
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
    kept: Int64s,
) -> tuple[int, int]:
    """Number the packets that pass, from 0 in `kept`: (those, packets seen before one without a program).

    buffer to linktype: a PacketBlock's. starts: pairs of a link type and the position of its program in `steps`.
    memory: (16,), scratch. kept: (n,) or more.
    """
    count = 0
    last = at = int64(-1)
    for packet in range(len(offset)):
        link = linktype[U(packet)]
        if at < 0 or link != last:
            at, last = int64(found_at(starts, link, -1)), link
            if at < 0:
                return count, packet
        if accepts(buffer, offset[U(packet)], caplen[U(packet)], wirelen[U(packet)], steps, at, memory):
            kept[U(count)] = packet
            count += 1
    return count, len(offset)
