"""A capture filter run over blocks of stored packets: an interpreter of classic BPF, compiled.

Programs are verified before they run (sensor.sources.filters.bpf). Sources: linux/filter.h; McCanne and Jacobson, The
BSD Packet Filter, 1993.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy import int64

from flows.block import Bytes, Int64s, PacketBlock
from flows.byte_order import be16, be32
from kernels.jit import U, Word, entry, inner
from sensor.sources.filters.bpf import (
    ABSOLUTE,
    ACCEPT_IF_A,
    ADD,
    ALU,
    AND,
    BYTE,
    CLASS,
    DIV,
    HALF,
    HEADER,
    INDIRECT,
    JEQ,
    JGE,
    JGT,
    JMP,
    JSET,
    JUMP,
    LD,
    LDX,
    LENGTH,
    LSH,
    MASK,
    MEMORY,
    MEMORY_WORDS,
    MOD,
    MODE,
    MUL,
    OPERAND_X,
    OPERATION,
    OR,
    RET,
    RSH,
    SIZE,
    ST,
    STX,
    SUB,
    TAX,
    XOR,
    BpfProgram,
    Instruction,
    check_program,
)
from sensor.sources.pairs import lookup

STRIDE: Final = 4  # numbers of an instruction in a flat program


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
        return block.select(accepted)

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
