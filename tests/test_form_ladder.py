"""plots.form_ladder: a panel a rung, a bar a series, as long as the mean over the texts."""

import pytest

from peft_lab import plots

SERIES = {
    "after": {"four lines": [True, True, False, True], "rhyming lines": [0.5, 0.0, 1.0, 0.5]},
    "shuffled": {"four lines": [True, False, False, False], "rhyming lines": [0.0, 0.0, 0.5, 0.0]},
}


def widths(panel):
    return [round(bar.get_width(), 6) for bar in panel.patches]


def test_each_bar_is_the_mean_over_the_texts():
    figure = plots.form_ladder(SERIES, "A finding", chance=["shuffled"])
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["four lines", "rhyming lines"]
    assert [widths(panel) for panel in figure.axes] == [[75.0, 25.0], [50.0, 12.5]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["after", "shuffled"]


def test_a_baseline_is_told_apart_without_colour():
    figure = plots.form_ladder(SERIES, "A finding", chance=["shuffled"])
    assert [bar.get_hatch() for bar in figure.axes[0].patches] == [None, "////"]


def test_a_baseline_may_lack_a_rung_and_another_series_may_not():
    part = {"rhyming lines": SERIES["shuffled"]["rhyming lines"]}
    figure = plots.form_ladder({**SERIES, "shuffled": part}, "A finding", chance=["shuffled"])
    assert [widths(panel) for panel in figure.axes] == [[75.0], [50.0, 12.5]]
    with pytest.raises(ValueError, match="'shuffled' has the rungs"):
        plots.form_ladder({**SERIES, "shuffled": part}, "A finding")


@pytest.mark.parametrize(
    "series, said",
    [
        ({}, "nothing is given"),
        ({**SERIES, "odd": {"four lines": [1, 0, 1]}}, "'odd' has the rungs"),
        ({"few": {"four lines": [1, 0]}}, "'few' has fewer than three texts"),
    ],
)
def test_what_cannot_be_drawn_is_named(series, said):
    with pytest.raises(ValueError, match=said):
        plots.form_ladder(series, "A finding")


def test_what_was_not_asked_is_a_dash_and_no_nought():
    part = {"rhyming lines": SERIES["shuffled"]["rhyming lines"]}
    figure = plots.form_ladder({**SERIES, "shuffled": part}, "A finding", chance=["shuffled"])
    said = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert said == [["75", "–"], ["50", "12"]]
