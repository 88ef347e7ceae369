"""Have the kernels compiled before packets come: a scan of our own goes all the way to an alert that nobody sees."""

from flows.block import block_of
from flows.meter import Meter
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.judging.judge import Judge
from sensor.synth.generate import generate
from sensor.synth.scenarios.portscan import PORTSCAN


def warm_up(meter: Meter, judge: Judge) -> None:
    """Run a few packets through a meter and a judge that are thrown away; the model forgets them."""
    packets = generate([PORTSCAN], seed=1, minutes=0.5).packets[:64]
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    items = [*judge.judge(meter.feed(block)), *judge.judge(meter.drain()), *judge.finish()]
    for item in items:
        if isinstance(item, Alert):
            alert_line(item)
    judge.hybrid.forget()
