"""What a forward pass keeps for the backward pass, worked out without running it.

A `Tape` goes through a model operation by operation, as autograd does, but with sizes in the place
of numbers: it notes which tensors each operation saves. So it needs a config alone, no weights, and
it holds for 176 billion parameters as for one million. Nothing in it is fitted: `operations` says
what each operation saves, `families` which operations a model does, `methods` what a method adds.
"""

from .families import (
    PARTS,
    Batch,
    Rehearsal,
    Trained,
    has_final_norm,
    rehearse,
    trained_in,
    unknown,
)
from .methods import leaves, trained_by
from .operations import Tape

__all__ = [
    "PARTS", "Batch", "Rehearsal", "Tape", "Trained", "has_final_norm", "leaves", "rehearse",
    "trained_by", "trained_in", "unknown",
]  # fmt: skip
