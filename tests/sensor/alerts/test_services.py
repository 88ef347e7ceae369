"""Names of services by their port: in lines and words, the same on every machine, and never judged."""

import pytest

from sensor.alerts.alert import Endpoint
from sensor.alerts.alert_record import alert_document, alert_of
from sensor.alerts.services import service_name
from sensor.alerts.words import service_in_short
from tests.support.alerts import an_alert


@pytest.mark.parametrize(
    ("port", "protocol", "name"),
    [(22, 6, "ssh"), (443, 17, "https"), (53, 17, "dns"), (38412, 132, "ng-control"), (22, 17, None), (None, 1, None),
     (0, 6, None), (443, 1, None)],
)  # fmt: skip
def test_a_port_has_the_name_of_its_transport(port: int | None, protocol: int, name: str | None) -> None:
    assert service_name(port, protocol) == name


def test_a_line_names_the_service_and_is_read_back_as_it_was() -> None:
    document = alert_document(an_alert())
    assert document["network"]["application"] == "ssh"
    assert alert_document(alert_of(document)) == document
    assert service_in_short(an_alert()) == "ssh (tcp/22)"


def test_a_port_without_a_name_has_none() -> None:
    alert = an_alert(destination=Endpoint("198.51.100.7", 40000, 1, 1))
    assert "application" not in alert_document(alert)["network"]
    assert service_in_short(alert) == ""
