"""What a capture has, as the API answers: alerts as their lines tell them, flows under each, and the accounts."""

from dataclasses import replace
from typing import Any, Final

from models.fusion import Hybrid
from sensor.alerts.alert_record import alert_document
from sensor.alerts.kinds import timestamp
from sensor.api.capture import CaptureFindings
from sensor.report.digest import ReportedEpisode

ALERTS_LISTED: Final = 500


def found_document(findings: CaptureFindings, hybrid: Hybrid, rate: float) -> dict[str, Any]:
    """Findings as JSON has them (sensor.api.schemas.CaptureResult)."""
    digest, counts, coverage = findings.digest, findings.coverage.counts, findings.coverage
    return {
        "model": {"id": hybrid.model_id, "sha256": hybrid.sha256},
        "rate": rate,
        "packets": {
            "received": counts.received if counts else 0,
            "metered": counts.metered if counts else 0,
            "filtered": counts.filtered if counts else 0,
            "undecoded": dict(counts.undecoded) if counts else {},
        },
        "flows": counts.flows if counts else 0,
        "start": timestamp(coverage.start_ns) if coverage.start_ns else None,
        "end": timestamp(coverage.end_ns) if coverage.end_ns else None,
        "alerts": [_alert(episode, findings) for episode in digest.worst(ALERTS_LISTED)],
        "more": max(0, len(digest) - ALERTS_LISTED),
        "muted": len(digest.muted),
        "problems": [*findings.problems, *findings.left_out],
    }


def _alert(episode: ReportedEpisode, findings: CaptureFindings) -> dict[str, Any]:
    return {
        "alert": alert_document(replace(episode.last, observer=findings.observer)),
        "lines": episode.lines,
        "flows": list(findings.flows.get(episode.last.id, ())),
    }
