"""Check of drift: what a watch would notice of it, and what not."""

from sensor.checks.result import CheckContext, CheckStatus, Observation


def drift(context: CheckContext) -> Observation:
    """Say what is compared, and whether a rate of alerts was asked for."""
    if context.config.drift.runs == "none":
        return Observation("not looked for (drift.runs)", CheckStatus.SKIPPED)
    if context.hybrid is None:
        return Observation("not known without a model", CheckStatus.SKIPPED)
    from sensor.drift.rate import asked_rate

    asked = asked_rate(context.config.drift.alerts_per_day, context.hybrid.about)
    rate = "the rate of alerts not: nobody asked for one (drift.alerts_per_day)" if asked is None else (
        f"alerts held to {asked:g} a day"
    )  # fmt: skip
    within = "" if context.shifts_are_watched else (
        "; shifts of scores within a day not: river is not installed (pip install 'flowvigil[home]')"
    )  # fmt: skip
    return Observation(f"columns and scores compared day by day; {rate}{within}")
