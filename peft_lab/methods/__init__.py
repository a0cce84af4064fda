"""Ways of adapting a frozen model, one file each."""

from .adapter import Adapter
from .base import Adapted, Edits, Method
from .compose import Compose
from .full import BitFit, EmbeddingTuning, FullFineTuning, LayerFreezing
from .hybrid import MAMAdapter, UniPELT
from .ia3 import IA3
from .lora import LoRA
from .p_tuning import PTuning
from .prefix_tuning import PrefixTuning
from .prompt_tuning import PromptTuning
from .switch import Switch

__all__ = [
    "IA3",
    "Adapted",
    "Adapter",
    "BitFit",
    "Compose",
    "Edits",
    "EmbeddingTuning",
    "FullFineTuning",
    "LayerFreezing",
    "LoRA",
    "MAMAdapter",
    "Method",
    "PTuning",
    "PrefixTuning",
    "PromptTuning",
    "Switch",
    "UniPELT",
]
