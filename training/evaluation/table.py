"""The figures of an evaluation as lines of text."""

from collections.abc import Mapping
from typing import Any

from training.measure import HYBRID


def table_of(content: Mapping[str, Any]) -> str:
    """Each member at each nominal rate, as the flows stand and re-homed, then the hybrid's recall by class."""
    inflated = " (INFLATED)" if content["inflated"] else ""
    lines = [
        f"{content['bundle']['model_id']}, protocol {content['protocol']}{inflated}: {content['n']:,} flows, "
        f"{100 * content['prevalence']:.1f} % attacks; re-homed onto {content['rehomed']['hosts']} hosts",
        *(f"note: {note}" for note in content["notes"]),
        "",
    ]
    width = max(len(name) for name in content["members"]) + 2
    head = f"{'FPR':>9}{'recall':>8}{'F1':>7}"
    lines.append(f"{'nominal':9}{'member':{width}}{head}{'AUC':>8}   re-homed:{head}{'AUC':>8}")
    for rate in content["members"][HYBRID]["rates"]:
        for name in content["members"]:
            own, moved = (_row(block["members"][name], rate) for block in (content, content["rehomed"]))
            lines.append(f"{100 * float(rate):6g} %  {name:{width}}{own}            {moved}")
    lines += ["", *_classes(content)]
    return "\n".join(lines)


def _row(member: Mapping[str, Any], rate: str) -> str:
    own = member["rates"][rate]
    return f"{100 * own['fpr']:7.2f} %{own['recall']:8.3f}{own['f1']:7.3f}{member['auc']:8.4f}"


def _classes(content: Mapping[str, Any]) -> list[str]:
    rates = content["members"][HYBRID]["rates"]
    classes = next(iter(rates.values()))["per_class"]
    width = max(len(label) for label in classes) + 2
    lines = [f"{'recall of the hybrid by class':{width + 9}}" + "".join(f"{100 * float(rate):>9g} %" for rate in rates)]
    if width + 9 < len(lines[0]) - 11 * len(rates):
        width = len(lines[0]) - 11 * len(rates) - 9
    for label, row in classes.items():
        few = "*" if row["few"] else " "
        recalls = "".join(f"{rates[rate]['per_class'][label]['recall']:11.3f}" for rate in rates)
        lines.append(f"{label:{width}}{row['n']:8,}{few}{recalls}")
    if any(row["few"] for row in classes.values()):
        lines.append("* fewer than 30 flows")
    return lines
