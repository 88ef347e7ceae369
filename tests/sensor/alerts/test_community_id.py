"""Community ID: equal to every value that the specification publishes for seed 0, the only one that we have.

Where the package of the specification's makers is installed (communityid), also equal to that on any flow.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.community_id import community_id

pytestmark = pytest.mark.ux

# github.com/corelight/community-id-spec, baseline/baseline_deflt.json: protocol, source, destination, source port or
# ICMP type, destination port or the type's counterpart (code where it has none), expected.
LONG = "2001:470:e5bf:dead:4957:2174:e82c:4887"
BASELINE = [
    (58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 136, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 135, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 136, "1:zavyT/cezQr1fmImYCwYnMXbgck="),
    (58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 136, 135, "1:zavyT/cezQr1fmImYCwYnMXbgck="),
    (58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="),
    (58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4, "1:hLZd0XGWojozrvxqE0dWB1iM6R0="),
    (58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 129, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
    (58, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 128, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
    (58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 134, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
    (58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 133, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
    (1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "192.168.0.1", "192.168.0.89", 0, 8, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
    (6, LONG, "2607:f8b0:400c:c03::1a", 63943, 25, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
    (6, "2607:f8b0:400c:c03::1a", LONG, 25, 63943, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
    (132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    (132, "192.168.170.56", "192.168.170.8", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    (6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (6, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (17, "8.8.8.8", "192.168.1.52", 53, 54585, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (46, "10.1.12.1", "10.1.12.2", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
    (46, "10.1.12.2", "10.1.12.1", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
]  # fmt: skip

# The same repository, baseline/README.md, "Default settings": there ICMP has type and code.
IPV6 = "fe80:0001:0203:0405:0607:0809:0A0B:0C0D"
OTHER = "fe80:1011:1213:1415:1617:1819:1A1B:1C1D"
TABLE = [
    (6, "1.2.3.4", "5.6.7.8", 1122, 3344, "1:wCb3OG7yAFWelaUydu0D+125CLM="),
    (6, "5.6.7.8", "1.2.3.4", 3344, 1122, "1:wCb3OG7yAFWelaUydu0D+125CLM="),
    (17, "1.2.3.4", "5.6.7.8", 1122, 3344, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="),
    (17, "5.6.7.8", "1.2.3.4", 3344, 1122, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="),
    (132, "1.2.3.4", "5.6.7.8", 1122, 3344, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8="),
    (132, "5.6.7.8", "1.2.3.4", 3344, 1122, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8="),
    (1, "1.2.3.4", "5.6.7.8", 8, 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="),
    (1, "5.6.7.8", "1.2.3.4", 0, 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="),
    (1, "1.2.3.4", "5.6.7.8", 11, 0, "1:f/YiSyWqczrTgfUCZlBUnvHRcPk="),
    (58, IPV6, OTHER, 128, 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="),
    (58, OTHER, IPV6, 129, 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="),
    (58, IPV6, OTHER, 146, 0, "1:fYC8+pz24E+EhANP1EZhpX0Dw10="),
    (46, "1.2.3.4", "5.6.7.8", 0, 0, "1:ikv3kmf89luf73WPz1jOs49S768="),
    (46, "5.6.7.8", "1.2.3.4", 0, 0, "1:ikv3kmf89luf73WPz1jOs49S768="),
    (46, IPV6, OTHER, 0, 0, "1:wQ/2mwrnXP4lmJcHdGL5ePjR+e0="),
    (46, OTHER, IPV6, 0, 0, "1:wQ/2mwrnXP4lmJcHdGL5ePjR+e0="),
]


@pytest.mark.parametrize(("protocol", "source", "destination", "a", "b", "expected"), BASELINE + TABLE)
def test_it_equals_the_published_value(
    protocol: int, source: str, destination: str, a: int, b: int, expected: str
) -> None:
    assert community_id(protocol, source, a, destination, b) == expected


def test_an_icmp_code_does_not_change_a_request_that_has_a_reply() -> None:
    expected = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="
    assert community_id(1, "192.168.0.89", 8, "192.168.0.1", 3) == expected


def test_an_icmp_type_without_a_reply_has_one_direction() -> None:
    assert community_id(1, "10.0.0.2", 3, "10.0.0.1", 3) != community_id(1, "10.0.0.1", 3, "10.0.0.2", 3)


addresses = st.ip_addresses(v=4).map(str)
ports = st.integers(0, 65535)


@given(addresses, ports, addresses, ports, st.sampled_from([6, 17, 132, 47]))
def test_both_directions_have_one_name(source: str, a: int, destination: str, b: int, protocol: int) -> None:
    assert community_id(protocol, source, a, destination, b) == community_id(protocol, destination, b, source, a)


@given(
    st.sampled_from([0, 1, 2, 6, 17, 46, 47, 58, 132, 255]),
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)) | st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    st.tuples(ports, ports) | st.tuples(st.integers(0, 255), st.integers(0, 15)),
)
def test_it_equals_what_the_makers_of_the_specification_compute(
    protocol: int, ends: tuple[object, object], numbers: tuple[int, int]
) -> None:
    theirs = pytest.importorskip("communityid")
    source, destination = map(str, ends)
    if protocol in (1, 58):
        numbers = numbers[0] % 256, numbers[1] % 256
    known = numbers if protocol in (1, 6, 17, 58, 132) else ()
    flow = theirs.FlowTuple(protocol, source, destination, *known)
    expected = theirs.CommunityID().calc(flow)
    if expected is not None:  # ICMP of one IP version over the other, which it refuses
        assert community_id(protocol, source, numbers[0], destination, numbers[1]) == expected
