"""Which module a name in `peft`'s files stands for, and how such files name ours."""

import re
from collections.abc import Iterable

import torch
from torch import nn

from .anatomy import BODIES, FAMILIES, HEADS, Anatomy, Family

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
START = "base_model.model."  # before the name of a module


def need(config: dict, name: str):
    if config.get(name) is None:
        raise ValueError(f"{CONFIG} lacks {name}, which peft's save_pretrained writes.")
    return config[name]


def module_names(anatomy: Anatomy) -> dict[nn.Module, str]:
    return {module: name for name, module in anatomy.model.named_modules()}


def targets_of(anatomy: Anatomy, linears: Iterable[nn.Module]) -> dict:
    """Exactly these modules: by the ends of their names where those name no other, else whole."""
    names = module_names(anatomy)
    wanted = {names[linear] for linear in linears}
    ends = {re.sub(r".*\.\d+\.", "", name) for name in wanted}
    found = {name for name in names.values() if any(f".{name}".endswith(f".{e}") for e in ends)}
    conv = any(not isinstance(linear, nn.Linear) for linear in linears)  # weights (in, out)
    return {"target_modules": sorted(ends if found == wanted else wanted), "fan_in_fan_out": conv}


def by_module(tensors: dict, parts: list[str]) -> dict[str, list[torch.Tensor]]:
    """{name of a module: its tensors, in the order of `parts`}."""
    ends = "|".join(map(re.escape, parts))
    named = {key: re.fullmatch(rf"{re.escape(START)}(.+)\.({ends})", key) for key in tensors}
    strange = [key for key, match in named.items() if match is None]
    if strange or not tensors:
        raise ValueError(
            f"{TENSORS} holds {', '.join(strange[:3]) or 'nothing'}; there must be {START}NAME."
            f"{' and '.join(parts)} and nothing else (with save_embedding_layers=False peft keeps "
            "layers of the base out of it)."
        )
    modules = dict.fromkeys(match[1] for match in named.values())
    lacking = [key for m in modules for p in parts if (key := f"{START}{m}.{p}") not in tensors]
    if lacking:
        raise ValueError(f"{TENSORS} lacks {', '.join(lacking[:3])}.")
    return {m: [tensors[f"{START}{m}.{part}"] for part in parts] for m in modules}


def pattern(config: dict, field: str, name: str, usual: float) -> float:
    """What rank_pattern or alpha_pattern says of a module: the first key that fits its name."""
    fits = (v for k, v in (config.get(field) or {}).items() if re.match(rf"(.*\.)?({k})$", name))
    return next(fits, usual)


def places_of(config: dict, names: Iterable[str]) -> tuple[dict, list[int] | None, Family]:
    """The modules of a file as {name: (layer, role)}; their layers, None where the config means
    all that there are; their family. Each module that the config names must be in the file, and
    no other: peft would leave it as it is, in silence."""
    targets, chosen = need(config, "target_modules"), config.get("layers_to_transform")
    for family in FAMILIES.values():
        found = {name: place_of(family, name) for name in names}
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


def place_of(family: Family, name: str) -> tuple[str, int | None, str] | None:
    """(what stands before the layer, layer, role) of a module, if the family has such a name."""
    if name in HEADS:
        return "", None, "head"
    match = re.fullmatch(rf"((?:.+\.)?{family.blocks}\.)(\d+)\.(.+)", name)
    for role, path in family.linears.items():
        if match and match[3] == path:
            if f".{match[1]}" in (f"{body}.{family.blocks}." for body in BODIES):
                return match[1], int(match[2]), role
    return None
