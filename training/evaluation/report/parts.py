"""What a report says of the hybrid's parts: what each is worth, and what they find together."""

from typing import Any

from training.evaluation.report import bars, tables
from training.evaluation.report.records import rows_of
from training.page.content import Block, Charts, Paragraph

Content = dict[str, Any]


def parts(content: Content) -> tuple[Block, ...]:
    """The ablation, recall at equal false alarms, and who finds what the others miss."""
    shown: list[Block] = [
        Paragraph(
            "Lanes are the hybrid. The cascade is the gated rule: the novel lane first, the known lane only on what it "
            "flags, both at the whole rate; it loses every attack that looks normal to the novel lane. The union lets "
            "every voter spend the whole rate, and pays for all of them."
        )
    ]
    shown += _at_rates(content)
    voters = [name for name, member in content["members"].items() if member["kind"] == "voter"]
    middle = list(content["agreement"])[len(content["agreement"]) // 2]
    shown.append(tables.at_equal_alarms(content["at_equal_false_alarms"]))
    lanes = [
        bars.lanes_by_class(rows, r, f"lanes-{i}") for i, (r, rows) in enumerate(content["lane_agreement"].items())
    ]
    found = rows_of(content)[1].capitalize()
    shown += [Charts(tuple(lanes)), tables.pairs(content["agreement"][middle], voters, middle, found)]
    return tuple(shown)


def _at_rates(content: Content) -> list[Block]:
    """Charts in pairs where rows have hosts to be re-homed onto, side by side where not."""
    shown: list[Block] = []
    alone = []
    rehomed = content["rehomed"]
    for i, (rate, rows) in enumerate(content["ablation"].items()):
        chart = bars.parts(rows, rate, f"parts-{i}", "as is")
        if rehomed is None:
            alone.append(chart)
            shown.append(tables.parts(rows, None, rate))
        else:
            moved = rehomed["ablation"][rate]
            other = bars.parts(moved, rate, f"parts-m{i}", f"re-homed onto {rehomed['hosts']}")
            shown += [Charts((chart, other)), tables.parts(rows, moved, rate)]
    return [Charts(tuple(alone)), *shown] if alone else shown
