"""Stand-in until sensor.sources.bpf is there."""

from collections.abc import Sequence
from dataclasses import dataclass

Instruction = tuple[int, int, int, int]
Program = Sequence[Instruction]
RET, SNAP = 0x06, 0x40000


@dataclass(frozen=True)
class Rule:
    """An interface and what is accepted of it."""

    index: int
    skip_outgoing: bool
    program: Program | None


def socket_program(rules: Sequence[Rule], *, complement: bool = False) -> list[Instruction]:
    """Accept what the rules accept, or of their interfaces what they reject."""
    out: list[Instruction] = []
    for rule in rules:
        program: Sequence[Instruction] = rule.program if rule.program is not None else [(RET, 0, 0, SNAP)]
        body = [
            (RET, 0, 0, SNAP if bool(k) != complement else 0) if code == RET else (code, jt, jf, k)
            for code, jt, jf, k in program
        ]
        if rule.skip_outgoing:
            body = [(0x20, 0, 0, 0xFFFFF004), (0x15, 0, 1, 4), (RET, 0, 0, 0), *body]
        out += [(0x20, 0, 0, 0xFFFFF008), (0x15, 1, 0, rule.index), (0x05, 0, 0, len(body)), *body]
    return [*out, (RET, 0, 0, 0)]
