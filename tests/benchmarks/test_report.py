"""What is made of measurements: medians, ratios, judgements, tables, charts."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest
from benchmarks.chart import Bar, bar_chart, ticks
from benchmarks.expected import EXPECTATIONS, SAME, Expectation, judge
from benchmarks.peers import PEERS
from benchmarks.report import Results, columns, expectations_table, figure, markdown, scenario_table
from benchmarks.scenarios import SCENARIOS

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def results(**values: list[float | None]) -> Results:
    """Results of one scenario; None is a round that came to nothing."""
    made = Results()
    for peer, rounds in values.items():
        for value in rounds:
            measured = {"missing": "it broke"} if value is None else {"value": value}
            made.add("100-connections", peer.replace("_", "-"), measured)
    return made


def test_ratios_are_those_of_neighbours() -> None:
    """The median of ratios of rounds, which is not the ratio of medians."""
    made = results(wirebird=[10, 40, 30], limit=[10, 20, 60])
    assert made.ratios("100-connections", "wirebird", "limit") == [1.0, 2.0, 0.5]
    assert made.median("100-connections", "wirebird") == 30


def test_a_round_that_failed_has_no_ratio() -> None:
    """The others keep their neighbours."""
    made = results(wirebird=[10, None, 30], limit=[10, 20, 10])
    assert made.ratios("100-connections", "wirebird", "limit") == [1.0, 3.0]
    assert made.median("100-connections", "wirebird") == 20
    assert made.missing("100-connections", "wirebird") == "it broke"
    assert made.missing("100-connections", "limit") is None


@pytest.mark.parametrize(
    ("measured", "at_most", "met"),
    [(2.0, False, True), (1.9, False, False), (2.0, True, True), (2.1, True, False)],
)
def test_a_bound_holds_what_is_on_it(measured: float, at_most: bool, met: bool) -> None:
    """From below and from above."""
    expectation = Expectation("it", "s", (2, 2), at_most=at_most)
    judged = judge(expectation, {"s": {"wirebird": {"value": measured}}}, {})
    assert judged.is_met(0) is met
    assert judged.is_met(1) is None


def test_the_best_of_others_is_compared_with() -> None:
    """Times the best is the least of the ratios."""
    expectation = Expectation("it", "s", (1, 1), against=("a", "b", "absent"))
    ratios = {"s": {("wirebird", "a"): 3.0, ("wirebird", "b"): 1.5}}
    assert judge(expectation, {}, ratios).measured == (1.5, None)


def test_the_same_api_is_compared_with() -> None:
    """Each API on another Python with itself on this one."""
    expectation = Expectation("it", "s", (1, 1), against=(SAME,), ours=("x", "y"))
    ratios = {"s": {("x", "wirebird"): 0.9, ("y", "wirebird-callbacks"): 0.8, ("y", "x"): 7.0}}
    assert judge(expectation, {}, ratios).measured == (0.9, 0.8)


def test_expectations_name_what_there_is() -> None:
    """Scenarios and peers, but for those on other Pythons."""
    for expectation in EXPECTATIONS:
        scenario = BY_NAME[expectation.scenario]
        named = {*expectation.against, *expectation.ours} - {SAME}
        assert {name for name in named if "@" not in name} <= {*scenario.peers}
    for scenario in SCENARIOS:
        assert {*scenario.peers} <= {*PEERS}


def test_tables_show_what_was_measured_and_what_was_not() -> None:
    """A peer that failed stands there with the reason, and what was missed is marked."""
    made = results(wirebird=[50, 60], limit=[100, 100], picows=[None, None])
    rows = scenario_table(BY_NAME["100-connections"], made)
    assert [row[0] for row in rows[1:]] == [
        PEERS[name].title for name in ("limit", "wirebird", "picows")
    ]
    assert rows[2][2] == "0.55 (0.50-0.60)"
    assert rows[3][1] == "not measured: it broke"
    judged = expectations_table(made.judgements())
    assert judged[1] == ["100 connections, 32 B: of the limit", ">= 0.9", "0.55 MISSED",
                         ">= 0.94", "not run"]  # fmt: skip


def test_columns_are_flush() -> None:
    """The first to the left, the others to the right; a long note widens no column."""
    note = "not measured: " + "x" * 60
    assert columns([["a", "bb"], ["aaa", "b"], ["a", note]]) == f"a    bb\naaa   b\na    {note}"
    assert markdown([["a", "b"], ["c"]]) == "| a | b |\n|-|-|\n| c |  |"


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (-0.5, "-0.50")]
)
def test_figures_say_no_more_than_they_know(value: float, text: str) -> None:
    """About three digits."""
    assert figure(value) == text


@pytest.mark.parametrize("largest", [0.0, 0.0007, 0.99, 1.0, 7.3, 11.0, 122.0, 98765.0])
def test_axes_are_round_and_long_enough(largest: float) -> None:
    """From 0 to at least the largest value, with few marks at equal distances."""
    marks = ticks(largest)
    assert marks[0] == 0
    assert marks[-1] >= largest
    assert 2 <= len(marks) <= 7
    steps = {round((b - a) / marks[1], 6) for a, b in itertools.pairwise(marks)}
    assert steps == {1.0}


def test_charts_are_drawn_to_scale() -> None:
    """One bar each, as long as its share; what names hold is escaped."""
    bars = [Bar("a <b> & c", 4.0, "4.00", is_ours=True), Bar("d", 1.0, "1.00")]
    root = ElementTree.fromstring(bar_chart("title & more", "times", bars))
    space = "{http://www.w3.org/2000/svg}"
    drawn = root.findall(f"{space}rect")
    assert [bar.get("class") for bar in drawn] == ["ours", "other"]
    first, second = (float(bar.attrib["width"]) for bar in drawn)
    assert first == pytest.approx(4 * second, rel=0.01)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert "a <b> & c" in texts
    assert "title & more" in texts
