"""The column table: what its groups promise."""

from flows.columns import INDEX, NAMES, SIBLINGS, reasons, usable_as_reasons


def test_every_column_that_may_be_a_reason_is_in_exactly_one() -> None:
    held = [NAMES[position] for group in reasons() for position in group]
    assert sorted(held) == sorted(usable_as_reasons())


def test_siblings_make_one_reason_and_any_other_column_its_own() -> None:
    sizes = sorted(len(group) for group in reasons() if len(group) > 1)
    assert sizes == sorted(len(group) for group in SIBLINGS)
    payload = next(group for group in reasons() if INDEX["fwd_bytes"] in group)
    assert {INDEX["bwd_packet_length_mean"], INDEX["packet_length_max"]} < set(payload)
    assert (INDEX["syn_flag_count"],) in reasons()
