"""Ways of adapting a frozen model, one file each."""

from .base import Adapted, Edits, Method
from .compose import Compose
from .full import BitFit, FullFineTuning, LayerFreezing
from .p_tuning import PTuning
from .prefix_tuning import PrefixTuning
from .prompt_tuning import PromptTuning

__all__ = [
    "Adapted",
    "BitFit",
    "Compose",
    "Edits",
    "FullFineTuning",
    "LayerFreezing",
    "Method",
    "PTuning",
    "PrefixTuning",
    "PromptTuning",
]
