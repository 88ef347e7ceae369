"""The longest line that can be told: every string at its longest, in letters of four bytes, every number at its widest.

Lines are bounded by bounds of their parts: whoever raises one of these has to look at the sum here.
"""

from typing import Any

import orjson
import pytest

from flows.decode import REASONS
from sensor.alerts.alert import Alert, Endpoint, Grade, ModelIdentity, Muted, Observer
from sensor.alerts.alert_record import alert_document, alert_line
from sensor.alerts.deviation import Deviation
from sensor.alerts.formats import FORMATS, formatter
from sensor.alerts.seen_names import SeenName, TlsHello
from sensor.alerts.sensor_records import SensorState, event_line, stats_line
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique
from sensor.outputs.syslog import syslog_message
from sensor.progress.progress import InterfaceState, KeptPackets, LoggedFlows, OutputState, Progress
from sensor.settings.bearing import bearing_settings
from sensor.settings.config import Config
from sensor.settings.outputs import MAX_OUTPUTS
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux

LIMIT_BYTES = 8192  # said here once more: it is promised to whoever reads our lines
LONG = "\U0001f600" * 2000  # four bytes a letter, printable
MOST_COUNTED = 2**53  # what JSON carries exactly: three centuries at a million packets a second
WIDE = -1.2345678901234567e-300  # what takes the most digits
ADDRESS = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
OBSERVER = Observer(LONG, LONG)
END_NS = 4_102_444_799_999_999_999


def longest_alert() -> Alert:
    name = r"\195" * 100  # what is no letter of ASCII is written so
    seen = SeenName(name, END_NS, ADDRESS, False)
    end = Endpoint(ADDRESS, 65535, MOST_COUNTED, MOST_COUNTED, LONG, LONG, LONG, 2**32 - 1, LONG, (seen,) * 9)
    deviation = Deviation(LONG, LONG, WIDE, WIDE, WIDE, WIDE, WIDE, WIDE)
    known: dict[str, Any] = {
        "targets_more": True,
        "ports_more": True,
        "origins_more": True,
        "protocol": 255,
        "port": 65535,
    }
    counts = {name: MOST_COUNTED for name in Spread.__dataclass_fields__ if name not in known}
    return an_alert(
        time_ns=END_NS, start_ns=END_NS, end_ns=END_NS, sequence=MOST_COUNTED, severity=100, risk=99.9, reason=LONG,
        source=end, destination=end, ip_version=6, protocol=255, community_id="1:" + "w" * 28, id="A" * 26,
        technique=Technique("T1110.001" + LONG, LONG, "Command and Control"), verdict="uncertain", lane="novel",
        action="updated", label=LONG, p_known=WIDE, p_novel=WIDE,
        scores={f"{number:03}{LONG}": WIDE for number in range(99)}, deviations=(deviation,) * 99,
        spread=Spread(**(counts | known)), model=ModelIdentity(LONG, LONG), observer=OBSERVER, dropped=MOST_COUNTED,
        direction="external", muted=Muted(LONG, LONG, END_NS), before_notes=Grade(100, 99.9),
        tls=TlsHello(r"\195" * 100, LONG), capture='"' * 2000,
    )  # fmt: skip


def test_the_longest_alert_stays_within_a_line() -> None:
    assert len(alert_line(longest_alert())) <= LIMIT_BYTES


def longest_progress() -> Progress:
    counts = {name: MOST_COUNTED for name, of in Progress.__annotations__.items() if of in (int, "int")}
    return Progress(
        **counts, undecoded={f"{number:02}{LONG}": MOST_COUNTED for number in range(len(REASONS))}, overload=LONG,
        interfaces=(InterfaceState(LONG, False),) * 99,
        outputs=tuple(OutputState(f"{number}{LONG}", False, *(MOST_COUNTED,) * 4) for number in range(MAX_OUTPUTS)),
        kept=KeptPackets(*(MOST_COUNTED,) * 8),
        logged=LoggedFlows(*(MOST_COUNTED,) * 6),
    )  # fmt: skip


def test_the_longest_account_stays_within_a_line() -> None:
    settings = {name: LONG for name, _, _ in bearing_settings(Config())} | {"capture.filter": '"' * 99}
    state = SensorState(LONG, LONG, LONG, settings, LONG)
    line = stats_line(longest_progress(), OBSERVER, END_NS, 99_999.999, None, state=state)
    assert len(line) <= LIMIT_BYTES


def test_the_longest_event_stays_within_a_line() -> None:
    assert len(event_line(LONG, LONG, OBSERVER, END_NS, LONG)) <= LIMIT_BYTES


@pytest.mark.parametrize("name", FORMATS)
def test_the_longest_alert_stays_within_a_syslog_message_in_every_format(name: str) -> None:
    message = syslog_message(alert_document(longest_alert()), formatter(name), 16)
    assert len(message) <= LIMIT_BYTES
    assert b'"shortened"' not in message  # all of it


def of_bytes(size: int) -> dict[str, Any]:
    """A document whose syslog message has this size."""
    document = alert_document(an_alert())
    document["flowvigil"]["hosts"] = ["h"] * 1000
    document["flowvigil"]["filling"] = ""
    short = len(syslog_message(document, formatter("native"), 16))
    document["flowvigil"]["filling"] = "x" * (size - short)
    return document


def test_a_syslog_message_of_8192_bytes_goes_as_it_is_and_one_byte_more_is_shortened() -> None:
    fits, too_long = (syslog_message(of_bytes(size), formatter("native"), 16) for size in (8192, 8193))
    assert len(fits) == 8192
    assert b'"shortened"' not in fits
    assert len(too_long) <= 8192
    told = orjson.loads(too_long[too_long.index(b"{") :])["flowvigil"]
    assert told["shortened"] is True
    assert len(told["hosts"]) == 500
