"""Classic BPF: codes, programs, and the verification that an interpreter may run one.

It knows neither libpcap nor sockets; programs come from sensor.sources.filters.libpcap. Sources: linux/filter.h and
Documentation/networking/filter.rst; McCanne and Jacobson, The BSD Packet Filter, 1993.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensor.errors import ConfigError

# Code, instructions to skip when a jump's condition holds and when it does not, constant k.
Instruction = tuple[int, int, int, int]

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
KERNEL_ONLY: Final = 0xFFFFF000  # SKF_AD_OFF: loads from here on read metadata of the kernel


@dataclass(frozen=True, slots=True)
class BpfProgram:
    """A filter expression compiled for one link type."""

    expression: str
    linktype: int  # LINKTYPE_ number
    instructions: tuple[Instruction, ...]


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
