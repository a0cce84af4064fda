"""Every figure that a paper's own formula gives, to its printed digits; and the list of the others,
each with what is known of it. The list is complete on purpose: it is nowhere else."""

from collections import Counter
from fractions import Fraction

import pytest

from peft_lab import papers
from peft_lab.accounting import count
from peft_lab.methods import Adapter, LoRA
from peft_lab.papers import Row, lora_work, papers_table, rows

ROWS = rows()
OTHERS = {  # what does not agree: printed, and ours
    ("T5 1.1 small, 20 tokens: prompt", "10,420"): "10,240",
    ("T5 1.1 small, 20 tokens: total", "76,971,572"): "76,971,392",
    ("T5 1.1 large, 100 tokens: share", "0.01907%"): "0.01307%",
    ("T5 1.1 xxl, 50 tokens: total", "11,137,380,352"): "11,135,537,152",
    ("GPT-3, prefix-layer 2 + 2", "5.1M"): "4.7M",
    ("GPT-3, prefix-layer 8 + 0", "10.1M"): "9.4M",
    ("GPT-3, prefix-layer 8 + 8", "20.2M"): "18.9M",
    ("GPT-3, prefix-layer 32 + 4", "44.1M"): "42.5M",
    ("GPT-3, prefix-layer 64 + 0", "76.1M"): "75.5M",
    ("GPT-3, LoRA q, k, v, o, r = 64", "603.8M"): "603.9M",
    ("GPT-3, LoRA's file", "35 MB"): "38 MB",
    ("GPT-3, BitFit", "14.2M"): "13.0M",
    ("GPT-3, all", "175,255.8M"): "174,604.3M",
    ("GPT-2 medium, all", "354.92M"): "354.82M",
    ("GPT-2 medium, LoRA", "0.35M"): "0.39M",
    ("GPT-2 large, LoRA", "0.77M"): "0.74M",
    ("BART-large, LoRA feed-forward, as in table 6", "7.2%"): "6.1%",
    ("BERT large, m = 64", "2.1%"): "1.9%",
}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.what}={row.printed}" for row in ROWS])
def test_figure(row):
    known = OTHERS.get((row.what, row.printed))
    if known is None:
        assert row.computed == row.printed and not row.note
    else:
        assert row.computed == known != row.printed and row.note


def test_the_list_of_the_others_is_complete_and_holds_nothing_else():
    assert {(row.what, row.printed) for row in ROWS if not row.agrees} == set(OTHERS)
    lester = [row for row in ROWS if row.paper == papers.LESTER and row.place == "table 4"]
    assert len(lester) == 5 * 6 * 3 and sum(not row.agrees for row in lester) == 4
    cut = [row.what for row in lester if row.cut]
    assert cut == ["T5 1.1 xl, 20 tokens: share", "T5 1.1 xl, 100 tokens: share"]


def test_each_of_the_others_is_of_one_kind():
    kinds = Counter(row.kind for row in ROWS if not row.agrees)
    assert kinds == {"misprint": 4, "contradiction": 1, "another count": 3, "no formula": 10}
    norms = 49 * 2 * 1024
    assert (papers.adapter_h(1024, 24, 64) + norms) / 335_141_888 == pytest.approx(0.0192, abs=5e-5)


def test_misprints_contradict_their_own_table():
    """The total for 50 tokens is larger than for 150, so it is they who err."""
    total = {row.what: int(row.printed.replace(",", "")) for row in ROWS if "xxl" in row.what
             and row.what.endswith("total")}  # fmt: skip
    assert total["T5 1.1 xxl, 50 tokens: total"] > total["T5 1.1 xxl, 150 tokens: total"]


def test_cut_figures_would_be_other_ones_if_rounded():
    from dataclasses import replace

    changed = [row for row in ROWS if row.cut and not replace(row, cut=False).agrees]
    # all marks that matter; of the others a paper that always cuts is the reason
    assert {row.paper for row in ROWS if row.cut and row not in changed} <= {papers.HE}
    assert len(changed) >= 6


def test_closed_forms_of_papers_are_the_methods_counts():
    """`adapter_h` is the package's Houlsby adapter; LoRA's 4 L d r is LoRA on q and v."""
    assert papers.adapter_h(12288, 96, 1) == Adapter(1, "houlsby").expected_parameters(
        papers.load_config("gpt3-175b")
    )
    assert count("gpt3-175b", LoRA(1)).measured == 4 * 96 * 12288


def test_loras_work_is_slightly_more_than_two_thirds():
    assert Fraction(2, 3) < lora_work(4096, 16) < Fraction(68, 100)
    assert float(lora_work(4096, 16)) == pytest.approx(0.6745, abs=5e-5)


def test_rounding():
    def shown(value, printed, cut=False, zeros=0):
        return Row("", "", "", "", Fraction(value), printed, cut, zeros=zeros).computed

    assert shown(1_250_000, "1.2M", cut=True) == "1.2M" and shown(1_250_000, "1.2M") == "1.3M"
    assert shown(245_760, "250K", zeros=1) == "250K" and shown(245_760, "250K") == "246K"
    assert shown(Fraction(1, 3), "33.3%") == "33.3%" and shown(999_999, "1,000,000") == "999,999"
    assert shown(Fraction(373, 1000), "0.37 bits") == "0.37 bits"


def test_the_table(capsys):
    papers_table("lora")
    said = capsys.readouterr().out
    assert "LoRA" in said and "Lester" not in said and "of 4" in said.splitlines()[-1]
    papers_table()
    said = capsys.readouterr().out
    assert f"{len(ROWS) - len(OTHERS)} of {len(ROWS)} agree" in said
    assert max(map(len, said.splitlines())) <= 100
    with pytest.raises(ValueError, match="no paper"):
        papers_table("nobody")
