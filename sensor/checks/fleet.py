"""Check of a sensor of a fleet: whether it would run on the bundle that the fleet's list wants it to."""

from typing import Final

from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import NOT_MET, SensorError

_SHOWN: Final = 16  # letters of a hash


class OtherBundleError(SensorError):
    """Another bundle than the fleet's list wants."""

    exit_code = NOT_MET


def fleet(context: CheckContext) -> Observation:
    """Compare the bundle with what is wanted. Raises OtherBundleError."""
    if context.hybrid is None or context.wanted is None:
        return Observation("not compared without a model", CheckStatus.SKIPPED)
    sha256, says = context.wanted
    found = context.hybrid.manifest_sha256
    if found != sha256:
        raise OtherBundleError(
            f"bundle {context.hybrid.model_id} {found[:_SHOWN]}: expected {sha256[:_SHOWN]}, which {says} wants here"
        )
    return Observation(f"{context.hybrid.model_id} {found[:_SHOWN]} is the bundle that {says} wants here")
