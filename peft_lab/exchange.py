"""To and from the files of Hugging Face `peft`: adapter_config.json, adapter_model.safetensors.

Only the files are read and written; `peft` is not needed. It takes much in silence: a prompt whose
config lacks its task type is never applied, tensors under a wrong name are left out. Here each of
these is an error.
"""

import json
import math
import os
import re
from pathlib import Path
from statistics import mode

import torch
from torch import nn

from .anatomy import Anatomy, Family, dimensions, matrix
from .methods import IA3, LoRA, Method, PrefixTuning, PromptTuning, PTuning
from .methods.base import seeded
from .methods.merging import site_name
from .methods.storage import put
from .peft_names import (
    CONFIG,
    START,
    TENSORS,
    by_module,
    module_names,
    need,
    pattern,
    places_of,
    targets_of,
)

KINDS = {
    "PROMPT_TUNING": PromptTuning,
    "P_TUNING": PTuning,
    "PREFIX_TUNING": PrefixTuning,
    "LORA": LoRA,
    "IA3": IA3,
}
_SCALES = {"k": "keys", "v": "values", "down": "inner"}  # role -> what IA3 calls its scales
# Fields that are read here, or that do not change what a trained adapter computes. Any other field
# that is set is an error, also one that a later peft brings.
_READ = set(
    """peft_type task_type auto_mapping peft_version base_model_name_or_path revision inference_mode
    num_virtual_tokens token_dim num_transformer_submodules num_attention_heads num_layers
    prompt_tuning_init prompt_tuning_init_text tokenizer_name_or_path tokenizer_kwargs init_weights
    encoder_hidden_size encoder_reparameterization_type encoder_num_layers encoder_dropout
    prefix_projection r target_modules lora_alpha lora_dropout fan_in_fan_out use_rslora use_dora
    layers_to_transform layers_pattern rank_pattern alpha_pattern init_lora_weights loftq_config
    eva_config corda_config megatron_core runtime_config qalora_group_size feedforward_modules
    init_ia3_weights""".split()
)
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")  # the others change the base too


def to_peft(method: Method, folder: str | os.PathLike, base_name: str | None = None) -> None:
    """Write an attached method so that `peft.PeftModel.from_pretrained(model, folder)` gives the
    same logits. Of a method with an encoder or an MLP its output is written, as `peft` does.

    On a fused layer (GPT-2, GPT-NeoX, BLOOM) LoRA's pairs for q, k, v become one pair of their
    ranks' sum, each B in rows of its own, and IA3 gets ones for the queries.

    Args:
        method: PromptTuning, PTuning, PrefixTuning, LoRA or IA3, attached to its model.
        folder: is made if need be; adapter_config.json and adapter_model.safetensors in it are
            replaced.
        base_name: of the model, a hub id or a folder, for those who load it by name.

    Raises:
        TypeError: a method that `peft` does not have.
        ValueError: it is not attached, or a form of it that `peft` does not have: a gated LoRA, a
            prefix in some layers only.
    """
    if type(method) not in KINDS.values():
        raise TypeError(
            f"method: {type(method).__name__} has no counterpart in peft, which has "
            f"{', '.join(kind.__name__ for kind in KINDS.values())}; of a composition, attach and "
            "write each member by itself. method.save(folder) keeps any method."
        )
    if not method.attached:
        raise ValueError(
            f"method: this {type(method).__name__} is not attached (by itself), and its file names "
            "the model's modules: method.attach(model) first."
        )
    anatomy = method._edits.anatomy
    write = {LoRA: _write_lora, IA3: _write_ia3}.get(type(method), _write_virtual)
    with torch.no_grad():
        config, tensors = write(method, anatomy)
    kind = next(name for name, known in KINDS.items() if known is type(method))
    always = {"peft_type": kind, "task_type": "CAUSAL_LM", "inference_mode": True}
    config = {**always, "base_model_name_or_path": base_name, **config}

    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = save(tensors, metadata={"format": "pt"})
    put(folder, {TENSORS: content, CONFIG: json.dumps(config, indent=2).encode()})


def _write_virtual(method: Method, anatomy: Anatomy) -> tuple[dict, dict]:
    prefix = isinstance(method, PrefixTuning)
    if prefix and method._layers != [*range(anatomy.layers)]:
        raise ValueError(
            f"method: its prefix is in layers {method._layers}, and peft has prefixes in all "
            f"{anatomy.layers} layers only; train one with layers=None."
        )
    vectors = method.stacked().flatten(1) if prefix else method.vectors()  # (n, L 2 d_kv) or (n, d)
    config = {
        "num_virtual_tokens": method.length,
        "token_dim": anatomy.kv_size if prefix else vectors.shape[1],
        "num_layers": anatomy.layers,
        "num_attention_heads": anatomy.kv_heads if prefix else anatomy.heads,
        "num_transformer_submodules": 1,
    }
    return config, {"prompt_embeddings": vectors}


def _write_lora(method: LoRA, anatomy: Anatomy) -> tuple[dict, dict]:
    if method.gated:
        raise ValueError("method: gated=True, and peft's LoRA has no gates; make one without.")
    names = module_names(anatomy)
    sites: dict[nn.Module, list] = {}  # a linear layer -> what our pairs change of it
    for layer, role in method.sites(anatomy.model.config):
        linear, outputs = anatomy.linear(layer, role)
        rows = slice(None) if outputs is None else outputs
        sites.setdefault(linear, []).append((site_name(layer, role), rows))
    tensors, ranks = {}, {}
    for linear, parts in sites.items():
        name, r = names[linear], method.rank
        ranks[name] = r * len(parts)
        A = torch.cat([method.A[site] for site, _ in parts])  # (parts * r, in)
        B = A.new_zeros(len(matrix(linear)), len(A))  # (all outputs, parts * r)
        for i, (site, rows) in enumerate(parts):
            B[rows, i * r : (i + 1) * r] = method.B[site]  # (out, r)
        tensors |= {f"{START}{name}.lora_A.weight": A, f"{START}{name}.lora_B.weight": B}
        if method.dora:
            lengths = matrix(linear).to(A).norm(dim=1)  # (all outputs,), as they are
            for site, rows in parts:
                lengths[rows] = method.lengths[site]
            tensors[f"{START}{name}.lora_magnitude_vector"] = lengths
    usual = mode(ranks.values())
    others = {name: rank for name, rank in ranks.items() if rank != usual}

    def alpha(rank: int) -> float:  # what leaves s as it is
        parts = rank // method.rank
        return method.alpha * (math.sqrt(parts) if method.rank_stabilised else parts)

    config = {
        "r": usual,
        "lora_alpha": alpha(usual),
        "rank_pattern": others,
        "alpha_pattern": {name: alpha(rank) for name, rank in others.items()},
        "lora_dropout": method.dropout,
        "use_rslora": method.rank_stabilised,
        "use_dora": method.dora,
        "bias": "none",
    }
    return config | targets_of(anatomy, sites), tensors


def _write_ia3(method: IA3, anatomy: Anatomy) -> tuple[dict, dict]:
    scaled, tensors, names = {}, {}, module_names(anatomy)
    for layer in method._blocks(anatomy.model.config):
        for role, scales in (("k", method.keys), ("v", method.values)):
            linear, outputs = anatomy.linear(layer, role)
            scale = scales[str(layer)]  # (out,)
            whole = scaled.setdefault(linear, scale.new_ones(len(matrix(linear))))  # (all outputs,)
            whole[slice(None) if outputs is None else outputs] = scale
    tensors = {f"{START}{names[linear]}.ia3_l": scale[:, None] for linear, scale in scaled.items()}
    inner = {anatomy.linear(int(layer), "down")[0]: scale for layer, scale in method.inner.items()}
    tensors |= {f"{START}{names[linear]}.ia3_l": scale[None] for linear, scale in inner.items()}
    forward = targets_of(anatomy, inner)["target_modules"]
    return targets_of(anatomy, {**scaled, **inner}) | {"feedforward_modules": forward}, tensors


def from_peft(folder: str | os.PathLike, model: nn.Module | None = None) -> Method:
    """The method in a folder that `peft`'s `save_pretrained` or `to_peft` wrote, to be attached.

    It is an ordinary method: train, merge, compose, save it. Such files do not say which base they
    were made on, so the base of the first attach counts, whatever it is.

    A pair on a fused layer (GPT-2, GPT-NeoX, BLOOM) is one shared by q, k and v, also where
    `to_peft` made it of ours for each of them: it computes the same, with more numbers.

    LoRA of unlike ranks gets the largest one for all (rows of B are filled up with zeros), and IA3
    that scales queries too gets those scales multiplied into the keys' where there are no rotary
    positions: q l_q · k l_k = q · k l_q l_k. Both compute what they did.

    Args:
        folder: holds adapter_config.json and adapter_model.safetensors.
        model: the base; asked for with IA3 on GPT-NeoX and BLOOM alone, whose layout goes by heads.

    Raises:
        FileNotFoundError: the folder does not hold both files.
        ValueError: damaged files, a `peft_type`, a field or a tensor that is not known here or does
            not fit the others.
    """
    folder = Path(folder)
    config, tensors = _read(folder)
    try:
        method, state = _method(config, tensors, model)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        re.error,
    ) as error:
        raise ValueError(f"{folder}: {CONFIG} is damaged ({error}).") from error
    method._saved = state, sum(tensor.numel() for tensor in state.values())
    return method


def _read(folder: Path) -> tuple[dict, dict]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    for name in (CONFIG, TENSORS):
        if not (folder / name).is_file():
            hint = ""
            if (folder / "method.json").is_file():
                hint = "; method.json is a file of peft_lab: Method.load(folder)"
            elif (folder / "adapter_model.bin").is_file():
                hint = "; adapter_model.bin is a pickle, which can run any code: save it anew, safe"
            raise FileNotFoundError(f"folder: {folder} holds no {name}{hint}.")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG} is damaged, it is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{folder / CONFIG} is damaged: it holds no fields.")
    try:
        return config, dict(sorted(load((folder / TENSORS).read_bytes()).items()))
    except SafetensorError as error:
        raise ValueError(f"{folder / TENSORS} is damaged or truncated: {error}") from error


def _method(config: dict, tensors: dict, model: nn.Module | None) -> tuple[Method, dict]:
    """The empty method that the config describes, and the tensors by our names."""
    kind, task = need(config, "peft_type"), config.get("task_type")
    if kind not in KINDS:
        raise ValueError(f"peft_type: {kind!r} is not known here; known are {', '.join(KINDS)}.")
    weights = kind in ("LORA", "IA3")
    if task != "CAUSAL_LM" and not (weights and task is None):
        why = "" if weights else " (without it peft loads a prompt and does not apply it)"
        raise ValueError(f'task_type: {task!r}, where only "CAUSAL_LM" will do{why}.')
    for name, value in config.items():
        if name not in _READ and value not in (None, False, "none", "", [], {}):
            raise ValueError(f"{name}: {value!r} is not supported; only files made without it are.")
    if not weights:
        return _read_virtual(kind, config, tensors)
    return _read_lora(config, tensors) if kind == "LORA" else _read_ia3(config, tensors, model)


def _read_virtual(kind: str, config: dict, tensors: dict) -> tuple[Method, dict]:
    if set(tensors) != {"prompt_embeddings"}:
        raise ValueError(f"{TENSORS} must hold prompt_embeddings alone, not {sorted(tensors)}.")
    n, vectors = need(config, "num_virtual_tokens"), tensors["prompt_embeddings"]
    width = config.get("token_dim") or vectors.shape[-1]
    if kind == "PREFIX_TUNING":
        layers, heads = need(config, "num_layers"), need(config, "num_attention_heads")
        width = need(config, "token_dim") * 2 * layers
    if vectors.shape != (n, width):
        raise ValueError(
            f"prompt_embeddings has shape {tuple(vectors.shape)}, but num_virtual_tokens and the "
            f"other fields make it ({n}, {width})."
        )
    if kind == "PREFIX_TUNING":
        prefix = vectors.view(n, layers, 2, heads, -1)  # (n, L, 2, H_kv, head_dim), as in peft
        return PrefixTuning(n, init="zero"), {"prefix": prefix, "fixed": prefix[:, :0]}
    method = PromptTuning(n) if kind == "PROMPT_TUNING" else PTuning(n, hidden=None)
    return method, {"embeddings": vectors}


def _read_lora(config: dict, tensors: dict) -> tuple[Method, dict]:
    start = config.get("init_lora_weights", True)
    if start not in _PLAIN_STARTS:
        raise ValueError(
            f"init_lora_weights: {start!r} changes the base as well, and the file does not say "
            "how; convert it to plain LoRA as peft's documentation tells."
        )
    stabilised, dora = bool(config.get("use_rslora")), bool(config.get("use_dora"))
    r, alpha = need(config, "r"), need(config, "lora_alpha")
    parts = ["lora_A.weight", "lora_B.weight"] + ["lora_magnitude_vector"] * dora
    found = by_module(tensors, parts)
    places, layers, _ = places_of(config, found)
    ranks = {name: pattern(config, "rank_pattern", name, r) for name in found}
    largest, state = max(ranks.values()), {}

    def s(alpha: float, rank: int) -> float:
        return alpha / (math.sqrt(rank) if stabilised else rank)

    for name, (A, B, *lengths) in found.items():
        rank, site = ranks[name], site_name(*places[name])
        if A.shape[:-1] != (rank,) or B.shape[1:] != (rank,):
            raise ValueError(
                f"r: {rank} for {name} does not fit its lora_A {tuple(A.shape)} and lora_B "
                f"{tuple(B.shape)}, which must be ({rank}, in) and (out, {rank})."
            )
        factor = s(pattern(config, "alpha_pattern", name, alpha), rank) / s(alpha, r)  # mostly 1
        with seeded(0):  # were A filled up with zeros as B is, both would stay there
            rows = A.new_empty(largest - rank, A.shape[1]).uniform_(-1, 1) / math.sqrt(A.shape[1])
        state[f"A.{site}"] = torch.cat([A, rows])  # (largest, in)
        B = torch.cat([B * factor, B.new_zeros(len(B), largest - rank)], 1)
        state[f"B.{site}"] = B  # (out, largest)
        state |= {f"lengths.{site}": length for length in lengths}
    grid = [dict.fromkeys(axis) for axis in zip(*places.values(), strict=True)]
    whole = len(places) == len(grid[0]) * len(grid[1])  # each role in each layer
    method = LoRA(
        largest,
        alpha * (s(1, r) / s(1, largest)),  # s stays as it is
        list(grid[1] if whole else places),
        layers if whole else None,
        stabilised,
        config.get("lora_dropout") or 0.0,
        dora,
    )
    return method, state


def _read_ia3(config: dict, tensors: dict, model) -> tuple[Method, dict]:
    found = by_module(tensors, ["ia3_l"])
    places, layers, family = places_of(config, found)
    state: dict[str, torch.Tensor] = {}
    for name, (scale,) in found.items():
        layer, role = places[name]
        if scale.ndim != 2 or scale.shape[0 if role == "down" else 1] != 1:
            raise ValueError(
                f"{name}.ia3_l has shape {tuple(scale.shape)}; it must be (out, 1), or (1, in) of "
                f"{family.linears['down']}, the one layer whose inputs are scaled here."
            )
        scales = {role: scale.flatten()}  # (units,)
        if role == "qkv":
            scales = _thirds(scale, name, family, model)
        state |= {f"{_SCALES.get(role, role)}.{layer}": scale for role, scale in scales.items()}
    kinds, blocks = ({key.split(".")[i] for key in state} for i in (0, 1))
    even = len(state) == len(kinds) * len(blocks)  # the same in each block
    if not (even and {"keys", "values"} <= kinds <= {*_SCALES.values()}):
        raise ValueError(
            f"target_modules: {', '.join(sorted(found))} are scaled, but IA3 here scales keys and "
            f"values, with or without the inputs of {family.linears['down']}, in the same layers."
        )
    return IA3(layers, feed_forward="inner" in kinds), state


def _thirds(scale: torch.Tensor, name: str, family: Family, model) -> dict[str, torch.Tensor]:
    """The scales of keys and values in those of a fused layer, (3d, 1); each (d,)."""
    if family.fused == "heads" and model is None:
        raise ValueError(
            f"model: the rows of {name} go by heads, and the file does not say how many there are: "
            "give from_peft(folder, model=...) the base."
        )
    groups = 1 if family.fused == "blocks" else dimensions(model.config).heads
    q, k, v = (part.flatten() for part in scale.view(groups, 3, -1).unbind(1))
    if family.rotary and not torch.equal(q, torch.ones_like(q)):
        raise ValueError(
            f"target_modules: {name} has its queries scaled, which IA3 here does not do; and as "
            "they are rotated afterwards, scaled keys are not the same."
        )
    return {"k": k * q, "v": v}
