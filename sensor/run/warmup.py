"""Have the kernels compiled before packets come: a scan of our own goes all the way to an alert that nobody sees."""

from flows.block import block_of
from sensor.alerts.alert import alert_line
from sensor.judging.judge import Pipeline
from sensor.synth.generate import generate
from sensor.synth.scenarios.portscan import PORTSCAN


def warm_up(pipeline: Pipeline) -> None:
    """Run a few packets through a pipeline that is thrown away; its model forgets them."""
    packets = generate([PORTSCAN], seed=1, minutes=0.5).packets[:64]
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    for alert in [*pipeline.feed(block), *pipeline.finish()]:
        alert_line(alert)
    pipeline.judge.hybrid.forget()
