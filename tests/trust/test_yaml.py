"""Every reader of YAML refuses what its grammar allows and no text of ours can be, in one line."""

import pytest

from configs.yaml_nodes import YamlFaultError, compose, plain_values
from tests.trust.bombs import yaml_oddities
from tests.trust.receivers import yaml_readings


@pytest.mark.parametrize(("kind", "text"), list(yaml_oddities()), ids=lambda value: value if len(value) < 20 else "")
def test_odd_yaml_is_read_or_refused_in_one_line_by_every_reader(kind: str, text: str) -> None:
    failures = [failure for failure, _ in yaml_readings(kind, text)]
    assert not any(failures), failures


@pytest.mark.parametrize("escape", ["\\0", "\\uD800", "\\U00110000", "\\UFFFFFFFF"])
def test_an_escape_for_no_character_is_refused_at_its_place(escape: str) -> None:
    with pytest.raises(YamlFaultError, match=r"^x\.yaml:2:") as refused:
        compose(f'a: b\nb: "{escape}"\n', "x.yaml")
    assert str(refused.value).isprintable()


def test_signs_that_yaml_has_types_for_are_text() -> None:
    assert plain_values(compose("a: =\nb: <<\n'=': c\n", "x.yaml"), "x.yaml") == {"a": "=", "b": "<<", "=": "c"}


def test_names_that_are_one_number_are_one_name() -> None:
    with pytest.raises(YamlFaultError, match=r'^x\.yaml:2:1: "01" is the same as a name before it'):
        plain_values(compose("1: a\n01: b\n", "x.yaml"), "x.yaml")
