import pytest

from training.labels import FAMILIES, TECHNIQUES, cic_family


def test_tools_of_one_technique_are_one_family() -> None:
    assert {cic_family(label) for label in ("DoS Hulk", "DoS GoldenEye", "DoS Slowloris", "DoS Slowhttptest")} == {
        "DoS"
    }
    assert cic_family("Infiltration - Portscan") == cic_family("PortScan") == "PortScan"


def test_an_attempted_attack_is_neither_normal_nor_an_attack() -> None:
    assert cic_family("DoS Slowloris - Attempted") is None


def test_the_dashes_of_2017_do_not_matter() -> None:
    assert cic_family("Web Attack \x96 XSS") == cic_family("Web Attack � XSS") == "WebAttack"


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(KeyError):
        cic_family("Ransomware")
    with pytest.raises(KeyError):
        cic_family("Ransomware - Attempted")


def test_every_attack_has_a_technique_and_normal_traffic_none() -> None:
    assert TECHNIQUES["BENIGN"] is None
    assert all(family.technique for family in FAMILIES[1:])
