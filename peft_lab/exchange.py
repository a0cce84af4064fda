"""To and from the files of Hugging Face `peft`: adapter_config.json, adapter_model.safetensors.

Only the files are read and written; `peft` is not needed. It takes much in silence: a prompt whose
config lacks its task type is never applied, tensors under a wrong name are left out. Here each of
these is an error.
"""

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import mode

import torch
from torch import nn

from .anatomy import BODIES, FAMILIES, HEADS, Anatomy, Family, dimensions, matrix
from .methods import IA3, LoRA, Method, PrefixTuning, PromptTuning, PTuning
from .methods.base import seeded
from .methods.merging import site_name
from .methods.storage import put

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
KINDS = {
    "PROMPT_TUNING": PromptTuning,
    "P_TUNING": PTuning,
    "PREFIX_TUNING": PrefixTuning,
    "LORA": LoRA,
    "IA3": IA3,
}
_START = "base_model.model."  # before the name of a module
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
    names = _names(anatomy)
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
        tensors |= {f"{_START}{name}.lora_A.weight": A, f"{_START}{name}.lora_B.weight": B}
        if method.dora:
            lengths = matrix(linear).to(A).norm(dim=1)  # (all outputs,), as they are
            for site, rows in parts:
                lengths[rows] = method.lengths[site]
            tensors[f"{_START}{name}.lora_magnitude_vector"] = lengths
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
    return config | _targets(anatomy, sites), tensors


def _write_ia3(method: IA3, anatomy: Anatomy) -> tuple[dict, dict]:
    scaled, tensors, names = {}, {}, _names(anatomy)
    for layer in method._blocks(anatomy.model.config):
        for role, scales in (("k", method.keys), ("v", method.values)):
            linear, outputs = anatomy.linear(layer, role)
            scale = scales[str(layer)]  # (out,)
            whole = scaled.setdefault(linear, scale.new_ones(len(matrix(linear))))  # (all outputs,)
            whole[slice(None) if outputs is None else outputs] = scale
    tensors = {f"{_START}{names[linear]}.ia3_l": scale[:, None] for linear, scale in scaled.items()}
    inner = {anatomy.linear(int(layer), "down")[0]: scale for layer, scale in method.inner.items()}
    tensors |= {f"{_START}{names[linear]}.ia3_l": scale[None] for linear, scale in inner.items()}
    forward = _targets(anatomy, inner)["target_modules"]
    return _targets(anatomy, {**scaled, **inner}) | {"feedforward_modules": forward}, tensors


def _names(anatomy: Anatomy) -> dict[nn.Module, str]:
    return {module: name for name, module in anatomy.model.named_modules()}


def _targets(anatomy: Anatomy, linears: Iterable[nn.Module]) -> dict:
    """Exactly these modules: by the ends of their names where those name no other, else whole."""
    names = _names(anatomy)
    wanted = {names[linear] for linear in linears}
    ends = {re.sub(r".*\.\d+\.", "", name) for name in wanted}
    found = {name for name in names.values() if any(f".{name}".endswith(f".{e}") for e in ends)}
    conv = any(not isinstance(linear, nn.Linear) for linear in linears)  # weights (in, out)
    return {"target_modules": sorted(ends if found == wanted else wanted), "fan_in_fan_out": conv}


def from_peft(folder: str | os.PathLike, model: nn.Module | None = None) -> Method:
    """The method in a folder that `peft`'s `save_pretrained` or `to_peft` wrote, to be attached.

    It is an ordinary method: train, merge, compose, save it. Such files do not say which base they
    were made on, so the base of the first attach counts, whatever it is.

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
    kind, task = _need(config, "peft_type"), config.get("task_type")
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


def _need(config: dict, name: str):
    if config.get(name) is None:
        raise ValueError(f"{CONFIG} lacks {name}, which peft's save_pretrained writes.")
    return config[name]


def _read_virtual(kind: str, config: dict, tensors: dict) -> tuple[Method, dict]:
    if set(tensors) != {"prompt_embeddings"}:
        raise ValueError(f"{TENSORS} must hold prompt_embeddings alone, not {sorted(tensors)}.")
    n, vectors = _need(config, "num_virtual_tokens"), tensors["prompt_embeddings"]
    width = config.get("token_dim") or vectors.shape[-1]
    if kind == "PREFIX_TUNING":
        layers, heads = _need(config, "num_layers"), _need(config, "num_attention_heads")
        width = _need(config, "token_dim") * 2 * layers
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
    r, alpha = _need(config, "r"), _need(config, "lora_alpha")
    parts = ["lora_A.weight", "lora_B.weight"] + ["lora_magnitude_vector"] * dora
    found = _by_module(tensors, parts)
    places, layers, _ = _places(config, found)
    ranks = {name: _pattern(config, "rank_pattern", name, r) for name in found}
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
        factor = s(_pattern(config, "alpha_pattern", name, alpha), rank) / s(alpha, r)  # mostly 1
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
    found = _by_module(tensors, ["ia3_l"])
    places, layers, family = _places(config, found)
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


def _by_module(tensors: dict, parts: list[str]) -> dict[str, list[torch.Tensor]]:
    """{name of a module: its tensors, in the order of `parts`}."""
    ends = "|".join(map(re.escape, parts))
    named = {key: re.fullmatch(rf"{re.escape(_START)}(.+)\.({ends})", key) for key in tensors}
    strange = [key for key, match in named.items() if match is None]
    if strange or not tensors:
        raise ValueError(
            f"{TENSORS} holds {', '.join(strange[:3]) or 'nothing'}; there must be {_START}NAME."
            f"{' and '.join(parts)} and nothing else (with save_embedding_layers=False peft keeps "
            "layers of the base out of it)."
        )
    modules = dict.fromkeys(match[1] for match in named.values())
    lacking = [key for m in modules for p in parts if (key := f"{_START}{m}.{p}") not in tensors]
    if lacking:
        raise ValueError(f"{TENSORS} lacks {', '.join(lacking[:3])}.")
    return {m: [tensors[f"{_START}{m}.{part}"] for part in parts] for m in modules}


def _pattern(config: dict, field: str, name: str, usual: float) -> float:
    """What rank_pattern or alpha_pattern says of a module: the first key that fits its name."""
    fits = (v for k, v in (config.get(field) or {}).items() if re.match(rf"(.*\.)?({k})$", name))
    return next(fits, usual)


def _places(config: dict, names: Iterable[str]) -> tuple[dict, list[int] | None, Family]:
    """The modules of a file as {name: (layer, role)}; their layers, None where the config means
    all that there are; their family. Each module that the config names must be in the file, and
    no other: peft would leave it as it is, in silence."""
    targets, chosen = _need(config, "target_modules"), config.get("layers_to_transform")
    for family in FAMILIES.values():
        found = {name: _place(family, name) for name in names}
        if None not in found.values():
            break
    else:
        known = ", ".join(FAMILIES)
        some = ", ".join([*names][:3])
        raise ValueError(f"{some}: not linear layers of one family known here ({known}).")
    places = {name: place for name, (_, *place) in found.items()}
    there = sorted({layer for layer, _ in places.values() if layer is not None})
    starts = {start for start, _, role in found.values() if role != "head"}
    chosen = [chosen] if isinstance(chosen, int) else chosen
    top = max(there, default=-1) + 1

    def named(layers: Iterable[int], ends: Iterable[str]) -> set[str]:
        """The modules that the config names, were there all of the family's in these layers."""
        known = {f"{s}{i}.{p}" for s in starts for i in layers for p in family.linears.values()}
        known |= {name for name in names if name in HEADS}
        if isinstance(targets, str):
            return {name for name in known if re.fullmatch(targets, name)}
        return {name for name in known if any(f".{name}".endswith(f".{end}") for end in ends)}

    layers = chosen or range(top)
    wrong = named(layers, targets) ^ set(names)
    if not isinstance(targets, str):
        wrong |= {end for end in targets if not named(layers, [end])}
    if wrong:
        raise ValueError(
            f"target_modules: {targets!r} and the tensors do not belong together: "
            f"{', '.join(sorted(wrong)[:3])} is only in one of them."
        )
    # Is it all layers that are meant? Then the next one too, if there were one.
    everywhere = not chosen and named([top], targets) - {*HEADS}
    return places, None if everywhere or not there else there, family


def _place(family: Family, name: str) -> tuple[str, int | None, str] | None:
    """(what stands before the layer, layer, role) of a module, if the family has such a name."""
    if name in HEADS:
        return "", None, "head"
    match = re.fullmatch(rf"((?:.+\.)?{family.blocks}\.)(\d+)\.(.+)", name)
    for role, path in family.linears.items():
        if match and match[3] == path:
            if f".{match[1]}" in (f"{body}.{family.blocks}." for body in BODIES):
                return match[1], int(match[2]), role
    return None
