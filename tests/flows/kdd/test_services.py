"""Services by port and message, under the names of the data."""

import numpy as np
import pytest

from flows.kdd.columns import SERVICES
from flows.kdd.services import SERVICE_KEYS, TCP_SERVICES, UDP_SERVICES, service_key, service_table
from kernels.jit import entry

ICMP, TCP, UDP, GRE, ICMPV6 = 1, 6, 17, 47, 58
KEY_OF = entry(service_key)


def name_of(protocol, target_port=0, source_port=40_000, icmp=(0, 0)):
    key = KEY_OF(protocol, source_port, target_port, icmp[0] << 8 | icmp[1])
    return SERVICES[service_table()[key]]


@pytest.mark.parametrize(
    ("protocol", "port", "name"),
    [
        (TCP, 80, "http"),
        (TCP, 443, "http_443"),
        (TCP, 25, "smtp"),
        (TCP, 21, "ftp"),
        (TCP, 23, "telnet"),
        (TCP, 53, "domain"),
        (UDP, 53, "domain_u"),
        (UDP, 123, "ntp_u"),
        (UDP, 69, "tftp_u"),
        (TCP, 6000, "X11"),
        (TCP, 6063, "X11"),
        (TCP, 6064, "other"),
        (TCP, 1023, "private"),
        (TCP, 1024, "other"),
        (UDP, 161, "private"),
        (UDP, 80, "private"),
        (UDP, 33_434, "other"),
        (GRE, 0, "other"),
    ],
)
def test_a_port_has_the_name_that_the_data_gives_it(protocol, port, name):
    assert name_of(protocol, port) == name


def test_ftp_data_is_told_by_either_port():
    assert name_of(TCP, 20) == name_of(TCP, 50_000, source_port=20) == "ftp_data"
    assert name_of(UDP, 50_000, source_port=20) == "other"


@pytest.mark.parametrize(
    ("protocol", "message", "name"),
    [
        (ICMP, (0, 0), "ecr_i"),
        (ICMP, (8, 0), "eco_i"),
        (ICMP, (8, 7), "eco_i"),
        (ICMP, (3, 3), "urp_i"),
        (ICMP, (3, 1), "urh_i"),
        (ICMP, (3, 4), "icmp"),
        (ICMP, (5, 1), "red_i"),
        (ICMP, (11, 0), "tim_i"),
        (ICMP, (13, 0), "icmp"),
        (ICMPV6, (128, 0), "eco_i"),
        (ICMPV6, (129, 0), "ecr_i"),
        (ICMPV6, (1, 4), "urp_i"),
        (ICMPV6, (135, 0), "icmp"),
    ],
)
def test_an_icmp_message_names_its_service(protocol, message, name):
    assert name_of(protocol, icmp=message) == name


def test_no_port_has_two_names_and_every_name_is_one_of_the_data():
    for services in (TCP_SERVICES, UDP_SERVICES):
        ports = [port for each in services.values() for port in each]
        assert len(ports) == len(set(ports))
        assert set(services) <= set(SERVICES)


def test_only_names_without_a_published_port_are_never_given():
    assert service_table().shape == (SERVICE_KEYS,)
    given = {SERVICES[position] for position in np.unique(service_table())}
    assert set(SERVICES) - given == {"harvest", "pm_dump"}
