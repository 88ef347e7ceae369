"""The evaluation report as a page: what was found, how sure that is, and what it rests on."""

from typing import Any

from training.evaluation.curves import Curve
from training.evaluation.drift import SHIFTED, STABLE
from training.evaluation.evaluation import Evaluation
from training.evaluation.report import bars, lines, tables
from training.evaluation.report.parts import parts
from training.evaluation.report.records import beside, novel_choice, rows_of, unsupervised
from training.evaluation.scored import ScoredRows
from training.label_map import LISTED, ROWS_LABELLED
from training.measure import HYBRID
from training.page.content import Block, Bullets, Charts, Page, Paragraph, Section
from training.page.numbers import count, listed

Content = dict[str, Any]


def document(evaluation: Evaluation, command: str) -> Page:
    """The page of an evaluation. command: the line that reproduces it."""
    content = evaluation.content
    inflated = " (INFLATED)" if content["inflated"] else ""
    return Page(
        title=f"Evaluation of {content['bundle']['model_id']}, protocol {_protocol(content)}{inflated}",
        summary=_summary(content),
        facts=_facts(content),
        sections=tuple(section for section in _sections(evaluation, command) if section.blocks),
        made_by=command,
    )


def _sections(evaluation: Evaluation, command: str) -> tuple[Section, ...]:
    content, whole = evaluation.content, evaluation.outcome.whole
    return (
        Section("What it finds and what it costs", _headline(content)),
        Section("Class by class", _classes(content), new_sheet=True),
        Section("Verdicts", _verdicts(content)),
        Section("Curves", _curves(evaluation), new_sheet=True),
        Section("The unsupervised lane", (*unsupervised(content), *novel_choice(content))),
        Section("Calibration", _calibration(whole.as_is, whole.rehomed)),
        Section("Scores and thresholds", _histograms(whole.as_is), new_sheet=True),
        Section("What the parts are worth", parts(content), new_sheet=True),
        Section("Fingerprint columns", _fingerprints(evaluation)),
        Section("Columns", _columns(content), new_sheet=True),
        Section("Do the explanations hold?", _deletion(content)),
        Section(f"{rows_of(content)[2]} left out", _left_out(content), new_sheet=True),
        Section("Beside another bundle", beside(content), new_sheet=True),
        Section("What to know before quoting these figures", _cautions(content)),
        Section("How to get this page again", (Paragraph(command, role="command"),)),
    )


def _protocol(content: Content) -> str:
    """Its name: records have no time that a bundle could be judged by, only another file."""
    return "file" if content["records"] is not None and content["protocol"] == "time" else str(content["protocol"])


def _summary(content: Content) -> tuple[str, ...]:
    texts = []
    if content["inflated"]:
        texts.append(content["notes"][0] + ".")
    for rate, own in content["members"][HYBRID]["rates"].items():
        found = tables.percent(own["recall"])
        told = f"At a nominal {tables.percent_of(rate)} the hybrid finds {found} of the {rows_of(content)[1]}"
        if own["novel_recall"] is not None:
            told += f" ({tables.percent(own['novel_recall'])} of those of a type that no fit had seen)"
        told += f" and flags {tables.percent(own['fpr'])} of the normal ones"
        if content["rehomed"] is not None:
            moved = content["rehomed"]["members"][HYBRID]["rates"][rate]
            hosts = f"re-homed onto {content['rehomed']['hosts']} shared hosts"
            told += f"; {hosts} {tables.percent(moved['recall'])} and {tables.percent(moved['fpr'])}"
        texts.append(f"{told}. {_against_members(content, rate)}")
    return tuple(texts)


def _against_members(content: Content, rate: str) -> str:
    row = content["at_equal_false_alarms"][rate]
    better = [name for name, recall in row["members"].items() if recall is not None and recall > row["hybrid"]]
    if not row["members"]:
        return ""
    if not better:
        return "No other member finds more at as many false alarms."
    told = [f"{name} ({tables.number(row['members'][name])})" for name in better]
    return f"At as many false alarms more is found by {listed(told)}: the hybrid has {tables.number(row['hybrid'])}."


def _facts(content: Content) -> tuple[tuple[str, str], ...]:
    rows, records = rows_of(content)[0], content["records"]
    dated = content["dataset"]["days"]
    days = () if dated is None else (("Days", listed(list(dated), 8)),)
    columns = () if records is None else (("Columns of a record", str(records["columns"])),)
    return (
        (f"{rows.capitalize()} judged", count(content["n"])),
        ("Attacks among them", tables.percent(content["prevalence"])),
        *days,
        *columns,
        *_novel_types(content),
        ("Protocol", _protocol(content) + (", INFLATED" if content["inflated"] else "")),
        ("Dataset", f"{content['dataset']['file']}, sha256 {content['dataset']['sha256'][:12]}…"),
        *_label_map(content),
        ("Bundle", f"{content['bundle']['model_id']}, sha256 {content['bundle']['sha256'][:12]}…"),
    )


def _label_map(content: Content) -> tuple[tuple[str, str], ...]:
    """By which map labels were read, and what it did."""
    record = content["dataset"].get("label_map")
    if record is None:
        return ()
    effects = [
        f"{count(number)} {reason}"
        for reason, number in content["dataset"]["repairs"].items()
        if number and reason.startswith(ROWS_LABELLED)
    ]
    told = f"{record['file']}, sha256 {record['sha256'][:12]}…: {listed(effects, LISTED)}"
    return (("Map of labels", told),)


def _novel_types(content: Content) -> tuple[tuple[str, str], ...]:
    novel = None if content["records"] is None else content["records"]["novel"]
    if not novel:
        return ()
    return (("Attacks not in the fit", f"{count(sum(novel.values()))} of {count(len(novel))} types"),)


def _moved(content: Content) -> tuple[Content | None, int | None]:
    """The re-homed members and how many hosts they have; nothing of rows without hosts."""
    rehomed = content["rehomed"]
    return (None, None) if rehomed is None else (rehomed["members"], rehomed["hosts"])


def _headline(content: Content) -> tuple[Block, ...]:
    members, moved, hosts = content["members"], *_moved(content)
    shown: list[Block] = [Bullets(tuple(f"{note}." for note in content["notes"]))] if content["notes"] else []
    shown.append(
        Paragraph(
            "Thresholds are those stored in the bundle. A member alone spends the whole nominal rate, the hybrid "
            "half of it in each lane. Precision and F1 hold for this table's share of attacks: on a network with "
            "fewer, both are lower."
        )
    )
    rates = members[HYBRID]["rates"]
    shown += [tables.headline(members, moved, rate, hosts) for rate in rates]
    shown.append(tables.areas(members, moved))
    voters = [name for name, member in members.items() if member["kind"] != "baseline"]
    shown.append(Charts((bars.confusion_matrices(members, voters[:3], _default(content), "confusion"),)))
    return tuple(shown)


def _classes(content: Content) -> tuple[Block, ...]:
    shown: list[Block] = []
    moved, hosts = _moved(content)
    for i, rate in enumerate(content["members"][HYBRID]["rates"]):
        arranged = {"as is": content["members"][HYBRID]["rates"][rate]["per_class"]}
        if moved is not None:
            arranged["re-homed"] = moved[HYBRID]["rates"][rate]["per_class"]
        shown.append(Charts((bars.recall_by_class(arranged, rate, f"classes-{i}", hosts),)))
        shown.append(tables.by_class(content["members"], rate, rows_of(content)[0]))
    return tuple(shown)


def _verdicts(content: Content) -> tuple[Block, ...]:
    shown: list[Block] = []
    for i, (rate, rows) in enumerate(content["decisions"].items()):
        shown.append(Charts((bars.verdicts_by_class(rows, rate, f"verdicts-{i}"),)))
    rate = _default(content)
    shown.append(tables.matrix(content["decisions"][rate], f"Verdicts at {tables.percent_of(rate)}", "true class"))
    named = {label: row for label, row in content["named"][rate].items() if row}
    if named:
        caption = f"The name that the known lane gives to what it calls an attack, at {tables.percent_of(rate)}"
        shown.append(tables.matrix(named, caption, "true class"))
    return tuple(shown)


def _curves(evaluation: Evaluation) -> tuple[Block, ...]:
    whole = evaluation.outcome.whole
    arranged: list[tuple[str, dict[str, Curve], ScoredRows]] = [("as is", evaluation.curves, whole.as_is)]
    if evaluation.rehomed_curves is not None and whole.rehomed is not None:
        arranged.append(("re-homed", evaluation.rehomed_curves, whole.rehomed))
    row = rows_of(evaluation.content)[0].removesuffix("s")
    rocs = [lines.roc(drawn, told, f"roc-{i}", hosts, row) for i, (hosts, drawn, told) in enumerate(arranged)]
    others = [lines.precision_recall(drawn, told, f"pr-{i}", hosts) for i, (hosts, drawn, told) in enumerate(arranged)]
    return (Charts((*rocs, *others)),)


def _calibration(as_is: ScoredRows, moved: ScoredRows | None) -> tuple[Block, ...]:
    charts = [lines.calibration(as_is, "calibration-0", "as is")]
    if moved is not None:
        charts.append(lines.calibration(moved, "calibration-1", "re-homed"))
    if as_is.probabilities:
        charts.append(lines.reliability(as_is, "reliability"))
    return (Charts(tuple(charts)),)


def _histograms(as_is: ScoredRows) -> tuple[Block, ...]:
    return (Charts(tuple(lines.histogram(as_is, member, f"scores-{i}") for i, member in enumerate(as_is.members))),)


def _fingerprints(evaluation: Evaluation) -> tuple[Block, ...]:
    metrics = evaluation.outcome.whole.model[0].about.get("metrics")
    rows = metrics.get("over_seeds") if isinstance(metrics, dict) else None
    table = tables.fingerprints(rows) if isinstance(rows, list) else None
    if table is None:
        return ()
    text = (
        "TCP windows and the smallest forward header name the operating systems of one laboratory as well as its "
        "attacks. A fit without them tells what is left."
    )
    return (Paragraph(text), table)


def _columns(content: Content) -> tuple[Block, ...]:
    told, drift = content["importance"], content["drift"]
    rate = tables.percent_of(told["rate"])
    shifted = [row["column"] for row in drift["columns"] if row["psi"] > SHIFTED]
    moved = [row["column"] for row in drift["columns"] if STABLE < row["psi"] <= SHIFTED]
    fit = "" if told["left_out"] is None else f" (fit without {told['left_out']})"
    text = (
        f"Importance{fit}: each column's values were exchanged among {count(told['flows'])} {rows_of(content)[0]}, "
        f"{told['repeats']} times. Columns say much the same as one another, so each alone looks less important than "
        f"it is. Drift: PSI of normal traffic against {drift['against']}; above {SHIFTED} (much moved): "
        f"{listed(shifted)}; above {STABLE}: {listed(moved)}."
    )
    fingerprint = {row["column"]: row["fingerprint"] for row in told["columns"]}
    drifted = [{**row, "fingerprint": fingerprint.get(row["column"], False)} for row in drift["columns"]]
    by_recall = sorted(told["columns"], key=lambda row: (-(row["recall_loss"] or 0), row["column"]))
    charts = (
        bars.columns_by(
            told["columns"], "auc_loss", "loss of ROC area", "Importance for the ranking", "importance-auc"
        ),
        bars.columns_by(by_recall, "recall_loss", "loss of recall", f"Importance for recall at {rate}", "importance-r"),
        bars.columns_by(drifted, "psi", "PSI", "Drift of normal traffic", "drift"),
    )
    return (Paragraph(text), Charts(charts))


def _deletion(content: Content) -> tuple[Block, ...]:
    told, default = content["deletion"], _default(content)
    if told is None:
        return ()
    alone, strict = told["flow_by_flow"], told["flow_by_flow"]["host_unknown"]
    if not alone["flows"]:
        return (Paragraph("The deletion test was left out: nothing was flagged."),)
    fit = "" if told["left_out"] is None else f" In the fit without {told['left_out']}."
    how = (
        "An alert's three reasons are set to what is normal in all of its flows, the hosts' sequences are judged "
        "again, and the flow that the alert shows must fall under every threshold. An alert is here two or more "
        "flagged flows of one host that are named alike. A reason is a column together with those that are tied to "
        f"it: {told['columns']} columns may be named and make {told['reasons']} reasons. Beside it, in place of the "
        "reasons: the three columns that explain most, alone; three other reasons, drawn at random; as many columns "
        f"as the reasons hold, drawn at random. Where chance does nearly as well, the test says little.{fit}"
    )
    one_by_one = (
        f"Flow by flow, which no alert claims: of {count(alone['flows'])} flagged flows "
        f"{tables.percent(alone['reasons'])} clear when their own three reasons are restored and the flagged flows "
        f"before them stay in the state of the host, {tables.percent(alone['columns_alone'])} by three columns alone. "
        f"Of the {count(strict['flows'])} that are flagged with nothing known of their host "
        f"{tables.percent(strict['reasons'])} and {tables.percent(strict['columns_alone'])}."
    )
    shown: list[Block] = [Paragraph(how), tables.deletion(told["rates"], content["rehomed"]["hosts"])]
    classes = {
        label: {"alerts": row["n"], "cleared": round(row["n"] * row["share"])}
        for label, row in told["rates"][default]["as_is"]["by_class"].items()
    }
    if classes:
        shown.append(tables.matrix(classes, f"Alerts at {tables.percent_of(default)} by true class", "true class"))
    return (*shown, Paragraph(one_by_one))


def _left_out(content: Content) -> tuple[Block, ...]:
    if content["records"] is not None:
        return (tables.left_out(content["left_out"]),) if content["left_out"] else ()
    shown: list[Block] = []
    for family, own in content["left_out"].items():
        shown.append(Paragraph(f"{family}: {count(own['n'])} flows judged by a fit that had none of its flows."))
        members = own["members"]
        moved = None if own["rehomed"] is None else own["rehomed"]["members"]
        shown += [tables.headline(members, moved, rate, _moved(content)[1]) for rate in members[HYBRID]["rates"]]
    return tuple(shown)


def _cautions(content: Content) -> tuple[Block, ...]:
    rows = rows_of(content)[0]
    general = (
        f"Intervals take {rows} as independent; {rows} of one attack are not, so the truth is wider.",
        "Areas under curves and figures at a score of 0.5 use no stored threshold.",
    )
    return (Bullets((*(f"Of the bundle: {text}" for text in content["bundle"]["warnings"]), *general)),)


def _default(content: Content) -> str:
    return f"{content['bundle']['default_rate']:g}"
