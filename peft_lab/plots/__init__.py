"""Every figure of the course: a function each, plain data in, a matplotlib ``Figure`` out.

``show(figure, see="…")`` displays it: one PNG and the sentence under it. Comparisons of several
runs refuse fewer than three seeds and mixed base models.
"""

from .choices import four_ways, gains_by_task, quality_and_price, verdict_table
from .curves import (
    against_k,
    against_parameters,
    heat_map,
    live_curve,
    loss_curves,
    memory_rows,
    memory_stack,
    norms,
    rate_sensitivity,
    with_band,
)
from .hybrids import budget_bar, gate_map, parts_and_sum, where_they_act
from .ladder import form_ladder
from .matrices import against_energy, learn_forget, low_rank, spectra
from .modules import beside, cut_in_places
from .pictures import (
    brick_wall,
    forward_map,
    forward_steps,
    sequence_rows,
    text_cards,
    tied_and_free,
    which_data_which_parameters,
)
from .rungs import by_rung, pair_gaps, what_is_new
from .scale import against_size, gaps_by_size
from .serving import log_dots, mixed_batch
from .style import CourseFigure, png, show

__all__ = [
    "against_energy", "against_k", "against_parameters", "against_size", "beside", "brick_wall",
    "budget_bar", "by_rung", "CourseFigure", "cut_in_places", "form_ladder", "forward_map",
    "forward_steps", "four_ways", "gains_by_task", "gaps_by_size", "gate_map", "heat_map",
    "learn_forget", "live_curve", "log_dots", "loss_curves", "low_rank", "memory_rows",
    "memory_stack", "mixed_batch", "norms", "pair_gaps", "parts_and_sum", "png",
    "quality_and_price", "rate_sensitivity", "sequence_rows", "show", "spectra", "text_cards",
    "tied_and_free", "verdict_table", "what_is_new", "where_they_act",
    "which_data_which_parameters", "with_band",
]  # fmt: skip
