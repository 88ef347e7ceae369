"""What a report says of connection records alone: the unsupervised lane, its size, and what payloads are worth."""

from typing import Any

from training.evaluation.report import tables
from training.measure import HYBRID
from training.page.content import Block, Paragraph
from training.page.numbers import count, listed

Content = dict[str, Any]


def rows_of(content: Content) -> tuple[str, str, str]:
    """What is judged and what attacks are called there: rows, attacks among them, and what is left out in turn."""
    if content["records"] is None:
        return "flows", "attack flows", "Families"
    return "records", "attacks", "Attacks"


def unsupervised(content: Content) -> tuple[Block, ...]:
    """The novel lane with the whole rate to spend; nothing of flows."""
    told = content["unsupervised"]
    if told is None:
        return ()
    text = (
        f"The novel lane ({listed(told['members'])}) learnt normal records alone and knows no attack by name. Here it "
        "has the whole nominal rate to spend; in the hybrid it has half of it."
    )
    return (Paragraph(text), tables.unsupervised(told))


def novel_choice(content: Content) -> tuple[Block, ...]:
    """Whether the novel lane's forest has the right size; nothing but of leave-one-out."""
    told = content["novel_choice"]
    if told is None:
        return ()
    chosen, own = (told["candidates"][told[name]] for name in ("chosen", "recipe"))
    at = tables.percent_of(told["chosen_at"])
    found = (
        f"None of the other sizes finds surely more at {at} and surely less at no rate: {_size(own)} stand."
        if chosen == own
        else f"{_size(chosen)} find surely more at {at} than the recipe's {_size(own)}, and surely less at no rate."
    )
    text = (
        f"Each size was fitted without a fold of clusters of the {count(told['normal'])} normal records, fold after "
        f"fold and {told['drawings']} times over, and calibrated on what it had not seen; the known lane is that of "
        f"the fit without the attack. Recall is the hybrid's, the mean of {len(told['attacks'])} attacks that count "
        f"once each. {found} With each attack judged by the size that the others choose, recall is "
        f"{tables.number(told['recall_of_unseen'])}."
    )
    return (Paragraph(text), tables.novel_choice(told))


def _size(candidate: Content) -> str:
    return f"{candidate['trees']} trees of {count(candidate['sample'])} records"


def beside(content: Content) -> tuple[Block, ...]:
    """What another bundle makes of the same rows, and what payloads are worth where one of them cannot see any."""
    other = content["beside"]
    if other is None:
        return ()
    names = (content["bundle"]["model_id"], other["bundle"]["model_id"])
    others = other["members"][HYBRID]["rates"]
    both = [rate for rate in content["members"][HYBRID]["rates"] if rate in others]
    shown: list[Block] = [Paragraph(text) for text in _payloads(content, other)]
    if both:
        shown.append(tables.beside(content["members"], other["members"], names, both, rows_of(content)[0]))
    shown += [tables.headline(other["members"], None, rate, None) for rate in others]
    return tuple(shown)


def _payloads(content: Content, other: Content) -> tuple[str, ...]:
    seeing = [told["records"] is not None and told["records"]["content_columns"] for told in (content, other)]
    if content["records"] is None or seeing[0] == seeing[1]:
        return ()
    blind, sighted = (other, content) if seeing[0] else (content, other)
    rate = f"{content['bundle']['default_rate']:g}"
    rows = [told["members"][HYBRID]["rates"].get(rate, {}).get("per_family", {}) for told in (sighted, blind)]
    costs = [
        f"{family} {tables.number(row['recall'])} with them, {tables.number(rows[1][family]['recall'])} without"
        for family, row in rows[0].items()
        if family in rows[1]
    ]
    columns = sighted["records"]["columns"] - blind["records"]["columns"]
    return (
        f"{columns} columns of a record tell what was said in the session: a sensor that sees packets' headers has "
        f"none of them. Recall of the hybrid at a nominal {tables.percent_of(rate)}: {'; '.join(costs)}.",
        "U2R happens inside an open session, between a user and the system: its only traces are in the payload. A flow "
        "sensor does not see it; what it flags of U2R are connections that look odd for another reason.",
    )
