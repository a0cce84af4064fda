"""peft_lab: parameter-efficient fine-tuning from scratch, on real small language models.

Every public name can be imported from here. Modules are loaded when a name of theirs is first
used, so that `import peft_lab` takes no time and pulls in neither transformers nor matplotlib.
"""

import importlib

__version__ = "0.1.0"

_NAMES = {
    "models": ["load_base", "known_bases", "fingerprint", "generate_text"],
    "anatomy": ["Anatomy"],
    "methods": [
        "Method", "FullFineTuning", "LayerFreezing", "BitFit", "EmbeddingTuning", "PromptTuning",
        "PrefixTuning", "PTuning", "Adapter", "IA3", "LoRA", "MAMAdapter", "UniPELT", "Compose",
        "Switch", "Adapted",
    ],
    "tasks": [
        "Row", "Example", "Task", "IGNORE", "load_task", "known_tasks", "read_rows", "encode",
        "collate", "batches",
    ],
    "evaluation": [
        "Evaluation", "scored_nll", "token_nll", "evaluate", "evaluate_byte_places", "classify",
        "accuracy", "written_answers", "forgetting", "longest_copied_run", "form_of_poem",
        "shuffled_lines", "slot_recall", "majority_baseline", "bag_of_words_baseline",
    ],
    "code_measures": ["parses", "good_lines", "unknown_names"],
    "training": ["History", "fit"],
    "accounting": [
        "Bytes", "Count", "Memory", "count", "count_parameters", "memory", "format_bytes",
        "saved_activation_bytes", "predicted_activation_bytes",
    ],
    "model_configs": ["known_configs", "load_config"],
    "planner": ["plan"],
    "checks": ["check_close", "check_order", "check_between", "check_equal"],
    "show": ["show_source"],
    "exchange": ["to_peft", "from_peft"],
    "attention": ["prefix_attention_share"],
    "paths": ["data_dir", "notebooks_dir"],
}  # fmt: skip
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = {
    *_NAMES,
    "checkpoint",
    "claims",
    "cli",
    "papers",
    "exercises",
    "instructions",
    "plots",
    "results",
    "verse",
    "widgets",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    """Load a public name, or a module, on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
