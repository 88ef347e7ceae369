"""Random classic BPF programs that the kernel and libpcap take, for tests that compare what runs them."""

import random

from sensor.sources.filters.bpf import BpfProgram, Instruction

CELLS = 4  # of scratch memory, all set at the start of each program
ARITHMETIC = [0x04, 0x0C, 0x14, 0x1C, 0x24, 0x2C, 0x34, 0x3C, 0x44, 0x4C, 0x54, 0x5C, 0x64, 0x74, 0x84]
ARITHMETIC += [0x94, 0x9C, 0xA4, 0xAC]
SHIFTS_BY_X = [0x6C, 0x7C]
LOADS = [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61]
JUMPS = [0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D]
OTHERS = [0x02, 0x03, 0x07, 0x87]


def random_program(dice: random.Random) -> BpfProgram:
    """A program of up to 60 instructions that reads most of its packet and answers by what it computed."""
    steps: list[Instruction] = [(0x30, 0, 0, dice.randrange(14)), (0x07, 0, 0, 0)]
    steps += [(dice.choice([0x02, 0x03]), 0, 0, cell) for cell in range(CELLS)]
    length = dice.randrange(5, 55)
    while len(steps) < length:
        steps.append(step(dice, length - len(steps) - 1))
    last: Instruction = dice.choice([(0x16, 0, 0, 0), (0x06, 0, 0, 0), (0x06, 0, 0, 1)])
    return BpfProgram("random", 1, (*steps, (0x54, 0, 0, 1), last))


def step(dice: random.Random, behind: int) -> Instruction:
    code = dice.choice(dice.choice([ARITHMETIC, SHIFTS_BY_X, LOADS, LOADS, JUMPS, JUMPS, OTHERS]))
    number = dice.choice(
        [dice.randrange(1, 32), dice.randrange(1, 32), dice.randrange(1, 70), dice.randrange(1, 1 << 32)]
    )
    if code in JUMPS:
        return (code, dice.randint(0, behind), dice.randint(0, behind), number)
    if code in (0x60, 0x61, 0x02, 0x03):
        return (code, 0, 0, dice.randrange(CELLS))
    if code in (0x64, 0x74):
        return (code, 0, 0, dice.randrange(32))
    if code in (0x20, 0x28, 0x30, 0xB1):
        return (code, 0, 0, dice.randrange(80))
    if code in (0x40, 0x48, 0x50):
        return (code, 0, 0, dice.choice([dice.randrange(60), (1 << 32) - dice.randrange(1, 30)]))
    return (code, 0, 0, number)
