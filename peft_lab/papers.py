"""The parameter counts that papers print, beside what their formulas give.

Each row is one printed figure: where it stands, what it counts, the formula's inputs, and what we
compute from the published configuration. `agrees` asks whether our number, rounded or cut as the
paper does it, is the printed one to its last digit. Where it is not, `note` says what we know, and
`kind` is its first words: a misprint, a contradiction between two tables, another count, or a
figure that no formula of the paper gives.

    for row in rows(): print(row)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction

from . import t5
from .footprint import total_parameters
from .methods import BitFit, FullFineTuning, LayerFreezing, LoRA, PrefixTuning, PromptTuning
from .model_configs import load_config

LESTER = "Lester et al. 2021, prompt tuning"
LORA = "Hu et al. 2021, LoRA"
LI = "Li & Liang 2021, prefix tuning"
HE = "He et al. 2022, a unified view"
BITFIT = "Ben Zaken et al. 2022, BitFit"
LIU = "Liu et al. 2022, IA3"
QLORA = "Dettmers et al. 2023, QLoRA"
THINKING = "Schulman et al. 2025, LoRA without regret"
HOULSBY = "Houlsby et al. 2019, adapters"
UNITS = {"": 1, "%": Fraction(1, 100), "K": 1000, "M": 10**6, "B": 10**9, " MB": 10**6,
         " GB": 10**9, " bits": 1}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One printed figure.

    Attributes:
        paper, place: where it stands.
        what: what it counts.
        inputs: the formula, with its numbers.
        value: what the formula gives, exactly; a share for "%".
        printed: as printed.
        cut: the paper cuts digits off where others round.
        zeros: how many zeros at the end of the printed number stand for digits rounded away.
        note: why it does not agree; empty if it does.
    """

    paper: str
    place: str
    what: str
    inputs: str
    value: Fraction
    printed: str
    cut: bool = False
    note: str = ""
    zeros: int = 0

    @property
    def computed(self) -> str:
        """Our number, with the digits and the unit of the printed one."""
        number, unit = _parts(self.printed)
        digits = Decimal(1).scaleb(self.zeros - len(number.partition(".")[2]))
        exact = self.value / UNITS[unit]
        # as many digits as no rounding can go wrong with
        quotient = Decimal(exact.numerator * 10**20 // exact.denominator).scaleb(-20)
        shown = quotient.quantize(digits, ROUND_DOWN if self.cut else ROUND_HALF_UP)
        return f"{shown.quantize(Decimal(1)) if self.zeros else shown:,f}{unit}"

    @property
    def agrees(self) -> bool:
        return self.computed == self.printed

    @property
    def kind(self) -> str:
        """Of what does not agree: the note up to its colon."""
        return self.note.partition(":")[0]

    def __str__(self) -> str:
        mark = "=" if self.agrees else "!"
        line = f"{self.place:<13}{self.what:<38}{self.printed:>15} {mark} {self.computed:>15}"
        return f"{line}\n{'':<6}({self.note})" if self.note else line


def _parts(printed: str) -> tuple[str, str]:
    """A printed figure as (number, unit): "0.35M" -> ("0.35", "M")."""
    number = printed.rstrip("%KMBGbits ")
    return number, printed[len(number) :]


def rows() -> list[Row]:
    """All figures, paper by paper."""
    makers = (
        _lester,
        _lora_gpt3,
        _lora_others,
        _li,
        _he,
        _bitfit,
        _ia3,
        _qlora,
        _thinking,
        _houlsby,
    )
    return [row for make in makers for row in make()]


def papers_table(only: str = "") -> None:
    """Print the rows, those of one paper if `only` is a part of its name.

    Raises:
        ValueError: no paper of that name.
    """
    found = [row for row in rows() if only.lower() in row.paper.lower()]
    if not found:
        raise ValueError(f"only={only!r}: no paper is called so.")
    paper = None
    for row in found:
        if row.paper != paper:
            paper = row.paper
            print(f"\n{paper}\n{'place':<13}{'what':<38}{'printed':>15}   {'computed':>15}")
        print(row)
    print(f"\n{sum(row.agrees for row in found)} of {len(found)} agree to the last printed digit")


# ---- Lester et al., table 4: prompt n x d, total with the prompt, its share ----------------------

_LENGTHS = (1, 5, 20, 50, 100, 150)
_TABLE_4 = {
    "small": (
        ("512", "2,560", "10,420", "25,600", "51,200", "76,800"),
        ("76,961,664", "76,963,712", "76,971,572", "76,986,752", "77,012,352", "77,037,952"),
        ("0.00067%", "0.00333%", "0.01330%", "0.03325%", "0.06648%", "0.09969%"),
    ),
    "base": (
        ("768", "3,840", "15,360", "38,400", "76,800", "115,200"),
        ("247,578,624", "247,581,696", "247,593,216", "247,616,256", "247,654,656", "247,693,056"),
        ("0.00031%", "0.00155%", "0.00620%", "0.01551%", "0.03101%", "0.04651%"),
    ),
    "large": (
        ("1,024", "5,120", "20,480", "51,200", "102,400", "153,600"),
        ("783,151,104", "783,155,200", "783,170,560", "783,201,280", "783,252,480", "783,303,680"),
        ("0.00013%", "0.00065%", "0.00262%", "0.00654%", "0.01907%", "0.01961%"),
    ),
    "xl": (
        ("2,048", "10,240", "40,960", "102,400", "204,800", "307,200"),
        ("2,849,759,232", "2,849,767,424", "2,849,798,144", "2,849,859,584", "2,849,961,984",
         "2,850,064,384"),
        ("0.00007%", "0.00036%", "0.00143%", "0.00359%", "0.00718%", "0.01078%"),
    ),
    "xxl": (
        ("4,096", "20,480", "81,920", "204,800", "409,600", "614,400"),
        ("11,135,336,448", "11,135,352,832", "11,135,414,272", "11,137,380,352", "11,135,741,952",
         "11,135,946,752"),
        ("0.00004%", "0.00018%", "0.00074%", "0.00184%", "0.00368%", "0.00552%"),
    ),
}  # fmt: skip
_MISPRINTS = {
    ("small", 20, 0): "misprint: 20 x 512 is 10,240; digits swapped",
    ("small", 20, 1): "misprint: follows from the 10,420 beside it",
    ("large", 100, 2): "misprint: 102,400 of 783,252,480 is 0.01307%",
    ("xxl", 50, 1): "misprint: it exceeds those for 100 and 150 tokens; the total of 500",
}


def _lester() -> Iterator[Row]:
    for name, columns in _TABLE_4.items():
        config = load_config(f"t5-v1.1-{name}")
        base = t5.parameters(config)
        for i, n in enumerate(_LENGTHS):
            prompt = t5.prompt_parameters(config, n)
            values = (prompt, base + prompt, Fraction(prompt, base + prompt))
            for column, what in enumerate(("prompt", "total", "share")):
                yield Row(
                    LESTER, "table 4", f"T5 1.1 {name}, {n} token{'s' * (n > 1)}: {what}",
                    f"n d, n = {n}, d = {config.d_model}", Fraction(values[column]),
                    columns[column][i],
                    cut=column == 2 and (name, n) in (("xl", 20), ("xl", 100)),
                    note=_MISPRINTS.get((name, n, column), ""),
                )  # fmt: skip
    xxl = load_config("t5-v1.1-xxl")
    few = t5.prompt_parameters(xxl, 5)
    yield Row(LESTER, "figure 2", "XXL, 5 tokens", "n d", Fraction(few), "20,480")


# ---- Hu et al. -----------------------------------------------------------------------------------

NO_FORMULA, OTHER = "no formula", "another count"


def adapter_h(d: int, layers: int, width: int) -> int:
    """Two adapters a block: 2 L (2 d r + r + d), norms not counted (LoRA, section 5.1)."""
    return 2 * layers * (2 * d * width + width + d)


def _lora_gpt3() -> Iterator[Row]:
    config = load_config("gpt3-175b")
    d, layers = config.hidden_size, config.num_hidden_layers
    place = "table 4, app."  # the hyper-parameter study of the appendix lists the counts once more

    def row(what, inputs, value, printed, cut=False, note=""):
        return Row(LORA, place, f"GPT-3, {what}", inputs, Fraction(value), printed, cut, note)

    for first, infix, printed, cut in (
        (32, 8, "0.4M", True), (64, 8, "0.9M", False), (128, 8, "1.7M", False),
        (256, 8, "3.2M", False), (512, 8, "6.4M", False),
    ):  # fmt: skip
        value = PromptTuning(first + infix).expected_parameters(config)
        yield row(f"prefix-embedding {first} + {infix}", "d (l_p + l_i)", value, printed, cut)
    for first, infix, printed in (
        (2, 2, "5.1M"), (8, 0, "10.1M"), (8, 8, "20.2M"), (32, 4, "44.1M"), (64, 0, "76.1M"),
    ):  # fmt: skip
        value = layers * PromptTuning(first + infix).expected_parameters(config)
        what, note = f"prefix-layer {first} + {infix}", f"{NO_FORMULA}: by theirs 0.8 to 8% less"
        yield row(what, "L d (l_p + l_i)", value, printed, note=note)
    for width, printed in ((1, "7.1M"), (4, "21.2M"), (8, "40.1M"), (16, "77.9M"), (64, "304.4M")):
        value = adapter_h(d, layers, width)
        yield row(f"adapter H, r = {width}", "2 L (2 d r + r + d)", value, printed)
    for targets, rank, printed, cut in (
        ("qv", 1, "4.7M", False), ("qv", 2, "9.4M", False), ("qv", 4, "18.8M", True),
        ("qv", 8, "37.7M", False), ("qv", 64, "301.9M", True), ("qkvo", 4, "37.7M", False),
        ("qkvo", 64, "603.8M", True),
    ):  # fmt: skip
        value = LoRA(rank, targets=tuple(targets)).expected_parameters(config)
        what = f"LoRA {', '.join(targets)}, r = {rank}"
        note = f"{OTHER}: twice 301.9, which was cut already" if printed == "603.8M" else ""
        yield row(what, f"{2 * len(targets)} L d r", value, printed, cut, note)
    value, note = 2 * LoRA(4).expected_parameters(config), f"{OTHER}: roughly, they say; 36.0 MiB"
    yield Row(LORA, "section 4.2", "GPT-3, LoRA's file", "2 x 4 L d r", Fraction(value), "35 MB",
              note=note)  # fmt: skip
    biases = BitFit().expected_parameters(config)
    note = f"{OTHER}: 12 d L would be 14.2M; GPT-2's biases are 11 d L + d"
    yield row("BitFit", "11 d L + d", biases, "14.2M", note=note)
    total = FullFineTuning().expected_parameters(config)
    note = f"{NO_FORMULA}: ours is 0.37% less"
    yield row("all", "12 L d^2 + 13 L d + (V + 2048) d + 2 d", total, "175,255.8M", note=note)


def _lora_others() -> Iterator[Row]:
    for name, layers, d, rank, printed in (
        ("RoBERTa base", 12, 768, 8, "0.3M"), ("RoBERTa large", 24, 1024, 8, "0.8M"),
        ("DeBERTa XXL", 48, 1536, 16, "4.7M"),
    ):  # fmt: skip
        value = Fraction(4 * layers * d * rank)
        yield Row(LORA, "table 2", f"{name}, LoRA q, v, r = {rank}", "4 L d r", value, printed)
    medium, large = load_config("gpt2-medium"), load_config("gpt2-large")
    for config, name, printed, note in (
        (medium, "medium", "354.92M", f"{NO_FORMULA}: ours is 0.03% less"),
        (large, "large", "774.03M", ""),
    ):  # fmt: skip
        total = Fraction(total_parameters(config))
        yield Row(LORA, "table 3", f"GPT-2 {name}, all", "V d + ...", total, printed, note=note)
    top = Fraction(LayerFreezing.top(2).expected_parameters(medium))
    what = "GPT-2 medium, top two blocks"
    yield Row(LORA, "table 3", what, "2 (12 d^2 + 13 d)", top, "25.19M")
    for config, name, printed in ((medium, "medium", "0.35M"), (large, "large", "0.77M")):
        value, note = (
            Fraction(LoRA(4).expected_parameters(config)),
            f"{NO_FORMULA}: ours is r = 4 on q, v",
        )
        yield Row(LORA, "table 3", f"GPT-2 {name}, LoRA", "4 L d r", value, printed, note=note)


# ---- the others ----------------------------------------------------------------------------------


def _li() -> Iterator[Row]:
    config = load_config("gpt2-medium")
    prefix = PrefixTuning(5).expected_parameters(config)
    what, inputs = "GPT-2 medium, prefix of 5", "2 n L d"
    share = Fraction(prefix, total_parameters(config))
    yield Row(LI, "text", what, inputs, Fraction(prefix), "250K", zeros=1)
    yield Row(LI, "text", f"{what}: share", inputs, share, "0.1%")


def _he() -> Iterator[Row]:
    """BART-large: L = 12 in each of encoder and decoder, d = 1024, 406.29 million parameters."""
    layers, d, whole = 12, 1024, 406_290_432
    attention, feed_forward = 3, 2  # places in a pair of encoder and decoder blocks
    for what, inputs, value, printed, note in (
        ("prefix, l = 200", "2 l d x 3 L", 2 * 200 * d * attention * layers, "3.6%", ""),
        ("parallel adapter, r = 512", "2 r d x 2 L", 2 * 512 * d * feed_forward * layers, "6.1%",
         ""),
        ("parallel adapter, r = 1024", "2 r d x 2 L", 2 * 1024 * d * feed_forward * layers,
         "12.3%", ""),
        ("Pfeiffer adapter, r = 600", "2 r d x 2 L", 2 * 600 * d * feed_forward * layers, "7.2%",
         ""),
        ("LoRA feed-forward, r = 102", "10 r d x 2 L", 10 * 102 * d * feed_forward * layers,
         "6.1%", ""),
        ("MAM, l = 30 and r = 512", "2 l d x 3 L + 2 r d x 2 L",
         2 * 30 * d * attention * layers + 2 * 512 * d * feed_forward * layers, "6.7%", ""),
        ("LoRA feed-forward, as in table 6", "10 r d x 2 L",
         10 * 102 * d * feed_forward * layers, "7.2%",
         "contradiction: table 6 differs from table 5"),
    ):  # fmt: skip
        share = Fraction(value, whole)
        place = "table 6" if note else "appendix B"
        yield Row(HE, place, f"BART-large, {what}", inputs, share, printed, True, note)


def _bitfit() -> Iterator[Row]:
    """BERT: biases of its linear layers and norms, of the embeddings' norm and the pooler."""
    for name, layers, d, whole, printed in (
        ("base", 12, 768, 109_482_240, "0.09%"), ("large", 24, 1024, 335_141_888, "0.08%"),
    ):  # fmt: skip
        biases = layers * 11 * d + d + d
        share = Fraction(biases, whole)
        inputs = "11 L d + 2 d"
        yield Row(BITFIT, "tables", f"BERT {name}, all biases", inputs, share, printed)
    share = Fraction(12 * (768 + 4 * 768), 109_482_240)
    what = "BERT base, query and inner biases"
    yield Row(BITFIT, "tables", what, "L (d + 4 d)", share, "0.04%")


def _ia3() -> Iterator[Row]:
    config = load_config("t5-v1.1-xxl")
    value = t5.ia3_parameters(config)
    inputs = "24 (2 x 4096 + 10240) + 24 (4 x 4096 + 10240)"
    share = Fraction(value, t5.parameters(config))
    yield Row(LIU, "text", "T0-11B (T5 1.1 XXL): share", inputs, share, "0.01%")


def _qlora() -> Iterator[Row]:
    saved = Fraction(32, 64) - (Fraction(8, 64) + Fraction(32, 64 * 256))
    inputs = "32/64 - (8/64 + 32/(64 x 256))"
    yield Row(QLORA, "text", "double quantisation, a parameter", inputs, saved, "0.37 bits")
    total = saved * 65 * 10**9 / 8
    yield Row(QLORA, "text", "the same, of 65 billion", inputs, total, "3 GB")


def _thinking() -> Iterator[Row]:
    """Llama-3.1-8B, of the sizes of Llama-3-8B; its "all" includes the head."""
    config = load_config("llama-3-8b")
    attention, mlp = ("q", "k", "v", "o"), ("gate", "up", "down")
    for what, targets, rank, printed in (
        ("all, rank 1", (*attention, *mlp, "head"), 1, "3M"),
        ("all, rank 256", (*attention, *mlp, "head"), 256, "0.70B"),
        ("attention, rank 256", (*attention, "head"), 256, "0.25B"),
        ("MLP, rank 128", (*mlp, "head"), 128, "0.24B"),
        ("MLP, rank 256", (*mlp, "head"), 256, "0.49B"),
    ):
        value = Fraction(LoRA(rank, targets=targets).expected_parameters(config))
        yield Row(THINKING, "table", f"Llama-3.1-8B, {what}", "r (in + out)", value, printed)


def _houlsby() -> Iterator[Row]:
    """BERT-large, bottleneck 64 everywhere; they train its norms and the new head too: with the 49
    norms (2 x 1024 each) it is 1.92%."""
    value = Fraction(adapter_h(1024, 24, 64), 335_141_888)
    note = f"{NO_FORMULA}: with its norms, which they train too, 1.92%"
    what, inputs = "BERT large, m = 64", "2 L (2 m d + d + m)"
    yield Row(HOULSBY, "text", what, inputs, value, "2.1%", note=note)


def lora_work(n: int, rank: int) -> Fraction:
    """Multiply-adds of LoRA beside an n x n matrix, of those of training the matrix: (2 n^2 +
    6 n r) / 3 n^2, "slightly more than 2/3" (Schulman et al. 2025). Forward and to the input is
    n^2 each; the third, the gradient of the matrix, is what LoRA does without."""
    return Fraction(2 * n * n + 6 * n * rank, 3 * n * n)
