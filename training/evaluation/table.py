"""The figures of an evaluation as lines of text."""

from collections.abc import Mapping
from typing import Any

from training.measure import HYBRID


def table_of(content: Mapping[str, Any]) -> str:
    """Each member at each nominal rate, as the rows stand and, where they have hosts, re-homed; recall by class."""
    inflated = " (INFLATED)" if content["inflated"] else ""
    rows, rehomed = "flows" if content["records"] is None else "records", content["rehomed"]
    hosts = "" if rehomed is None else f"; re-homed onto {rehomed['hosts']} hosts"
    lines = [
        f"{content['bundle']['model_id']}, protocol {content['protocol']}{inflated}: {content['n']:,} {rows}, "
        f"{100 * content['prevalence']:.1f} % attacks{hosts}",
        *(f"note: {note}" for note in content["notes"]),
        "",
        *_members(content["members"], None if rehomed is None else rehomed["members"]),
        "",
        *_classes(content, rows),
    ]
    if content["novel_choice"] is not None:
        lines += ["", *_novel_choice(content["novel_choice"])]
    if content["beside"] is not None:
        other = content["beside"]
        lines += ["", f"beside it {other['bundle']['model_id']}:", *_members(other["members"], None)]
        lines += _families(content, other)
    return "\n".join(lines)


def _members(members: Mapping[str, Any], moved: Mapping[str, Any] | None) -> list[str]:
    novel = any(row["novel_recall"] is not None for row in members[HYBRID]["rates"].values())
    width = max(len(name) for name in members) + 2
    head = f"{'FPR':>9}{'recall':>8}{'F1':>7}"
    first = f"{'nominal':9}{'member':{width}}{head}{'AUC':>8}"
    if novel:
        first += f"{'novel recall':>14}"
    lines = [first + ("" if moved is None else f"   re-homed:{head}{'AUC':>8}")]
    for rate in members[HYBRID]["rates"]:
        for name, member in members.items():
            line = f"{100 * float(rate):6g} %  {name:{width}}{_row(member, rate)}"
            if novel:
                line += f"{member['rates'][rate]['novel_recall']:14.3f}"
            lines.append(line + ("" if moved is None else f"            {_row(moved[name], rate)}"))
    return lines


def _row(member: Mapping[str, Any], rate: str) -> str:
    own = member["rates"][rate]
    return f"{100 * own['fpr']:7.2f} %{own['recall']:8.3f}{own['f1']:7.3f}{member['auc']:8.4f}"


def _novel_choice(told: Mapping[str, Any]) -> list[str]:
    """Sizes of the novel lane's forest side by side."""
    rates = list(told["candidates"][0]["recall"])
    lines = [
        f"Isolation Forests of several sizes: recall of the hybrid, mean of {len(told['attacks'])} attacks that no fit "
        f"saw, calibrated on clusters that none saw, ± over {told['drawings']} drawings",
        f"{'trees of rows':16}{'nodes':>9}" + "".join(f"{100 * float(rate):>15g} %" for rate in rates),
    ]
    for place, own in enumerate(told["candidates"]):
        size = f"{own['trees']} of {own['sample']:,}"
        recalls = "".join(f"{row['mean']:9.3f} ± {row['spread']:.3f}" for row in own["recall"].values())
        marks = [name for name in ("recipe", "chosen") if told[name] == place]
        lines.append(f"{size:16}{own['nodes']:9,}{recalls}" + (f"  {', '.join(marks)}" if marks else ""))
    at = f"{100 * float(told['chosen_at']):g} %"
    return [*lines, f"chosen at {at}; each attack by the size that the others choose: {told['recall_of_unseen']:.3f}"]


def _families(content: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Recall of both hybrids by family."""
    names = (content["bundle"]["model_id"], other["bundle"]["model_id"])
    lines = [f"recall of the hybrid by family, {names[0]} / {names[1]}"]
    own, others = (block["members"][HYBRID]["rates"] for block in (content, other))
    rates = [rate for rate in own if rate in others]
    for family, row in next(iter(own.values()))["per_family"].items():
        pairs = [
            f"{block[HYBRID]['rates'][rate]['per_family'][family]['recall']:.3f}"
            for rate in rates
            for block in (content["members"], other["members"])
        ]
        both = zip(rates, pairs[::2], pairs[1::2], strict=True)
        told = "".join(f"   {100 * float(rate):g} %: {own} / {its}" for rate, own, its in both)
        lines.append(f"{family:8}{row['n']:9,}{told}")
    return lines


def _classes(content: Mapping[str, Any], rows: str) -> list[str]:
    rates = content["members"][HYBRID]["rates"]
    classes = next(iter(rates.values()))["per_class"]
    width = max(len(label) for label in classes) + 2
    lines = [f"{'recall of the hybrid by class':{width + 9}}" + "".join(f"{100 * float(rate):>9g} %" for rate in rates)]
    if width + 9 < len(lines[0]) - 11 * len(rates):
        width = len(lines[0]) - 11 * len(rates) - 9
    for label, row in classes.items():
        few = "*" if row["few"] else " "
        recalls = "".join(f"{rates[rate]['per_class'][label]['recall']:11.3f}" for rate in rates)
        novel = "  novel" if row["novel"] else ""
        lines.append(f"{label:{width}}{row['n']:8,}{few}{recalls}{novel}")
    if any(row["few"] for row in classes.values()):
        lines.append(f"* fewer than 30 {rows}")
    return lines
