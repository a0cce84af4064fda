"""The base models: load one, tell it from another, let it write."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from .paths import data_dir
from .randomness import random_state_kept


def known_bases() -> list[str]:
    """The names of the models that come with the course, e.g. `storyteller-micro`."""
    return sorted(config.parent.name for config in data_dir().glob("models/*/config.json"))


def _find(name: str) -> tuple[str, bool]:
    """The place of a model and whether it is a folder here (then no network is ever asked)."""
    for folder in (data_dir() / "models" / name, Path(name).expanduser()):
        if (folder / "config.json").is_file():
            return str(folder), True
    known = ", ".join(known_bases()) or f"none: {data_dir() / 'models'} holds no model"
    if name.startswith("storyteller") and "/" not in name:
        raise ValueError(f"there is no base model {name!r}; the course has: {known}.")
    if Path(name).expanduser().is_dir():
        raise FileNotFoundError(
            f"the folder {name!r} holds no config.json; give a folder that `save_pretrained` wrote."
        )
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise FileNotFoundError(
            f"there is no folder {name!r}; give a folder that `save_pretrained` wrote, an id of "
            f"the hub, or one of the course's models: {known}."
        )
    return name, False


@contextlib.contextmanager
def _no_bar() -> Iterator[None]:
    """No progress bar for what takes a tenth of a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _ask_hub(name: str) -> None:
    """One question to the hub, where `from_pretrained` would repeat it for most of a minute."""
    from huggingface_hub import HfApi

    HfApi().model_info(name, timeout=10)


def _read(place: str, dtype: torch.dtype, from_here: bool):
    from transformers import AutoModelForCausalLM, AutoTokenizer  # slow to import: only when needed

    model, loaded = AutoModelForCausalLM.from_pretrained(
        place,
        dtype=dtype,
        local_files_only=from_here,
        adapter_kwargs={"local_files_only": from_here},  # where peft is there, it looks for itself
        output_loading_info=True,
    )
    if loaded["missing_keys"]:  # transformers would fill them with random numbers, and warn
        raise ValueError(
            f"the files of {place!r} lack {len(loaded['missing_keys'])} of the tensors of a "
            f"{type(model).__name__}, e.g. {min(loaded['missing_keys'])!r}; copy or download the "
            "model again."
        )
    return model, AutoTokenizer.from_pretrained(place, local_files_only=from_here)


def load_base(
    name: str | os.PathLike | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
):
    """A frozen base model and its tokenizer.

    Args:
        name: one of `known_bases()`, a folder, or an id of the Hugging Face hub (downloaded once;
            then the network is not asked again). None takes "storyteller-" and the size named by
            the environment variable PEFT_LAB_SIZE (micro).
        dtype: of the weights in memory. The storytellers are stored as float16.
        device: "cpu", "cuda", "mps", ...

    Returns:
        (model, tokenizer). The model is in eval mode and no parameter requires a gradient.
        The tokenizer has bos, eos and pad tokens and pads on the left, as generating needs it.

    Raises:
        ValueError: no such storyteller, the hub could not give such a model, or its files lack
            some of the weights.
        FileNotFoundError: a folder that is not there, or holds no model.
    """
    if name is None:
        size = os.environ.get("PEFT_LAB_SIZE", "micro")
        name = "storyteller-" + size
        if "PEFT_LAB_SIZE" in os.environ and name not in known_bases():
            sizes = [base.removeprefix("storyteller-") for base in known_bases()]
            raise ValueError(
                f"the environment variable PEFT_LAB_SIZE is {size!r}; "
                f"unset it or use one of: {', '.join(sizes)}."
            )
    if not isinstance(name, str | os.PathLike) or not str(name):
        raise TypeError(f"name must be a model's name or folder, not {name!r}.")
    place, local = _find(os.fspath(name))

    try:
        with _no_bar():
            model, tokenizer = _read(place, dtype, from_here=True)
    except OSError:  # neither a folder nor in the cache of earlier downloads
        if local:
            raise
        try:
            _ask_hub(place)
            model, tokenizer = _read(place, dtype, from_here=False)
        except Exception as error:  # which library carries the request, and its errors, changes
            raise ValueError(
                f"{place!r} is none of the course's models ({', '.join(known_bases())}), no "
                f"folder, and the Hugging Face hub could not give it: {error}"
            ) from error

    if tokenizer.eos_token is None:
        raise ValueError(f"the tokenizer of {place!r} has no eos token; set one and save it again.")
    tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "left"
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model.to(device).eval().requires_grad_(False), tokenizer


def fingerprint(model: nn.Module) -> str:
    """16 hexadecimal digits that tell one base from another.

    Hashed are the names and shapes of all parameters and the input embeddings rounded to
    bfloat16, so that one model loaded in float32 or bfloat16 has one fingerprint; and in float16,
    if its weights are stored in it, as ours are. (From others float16 rounds once more.)
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.named_parameters(remove_duplicate=False)):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
    rows = model.get_input_embeddings().weight.detach().cpu().to(torch.bfloat16)  # (V, d)
    digest.update(rows.contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def mode(training: bool, *modules: nn.Module) -> Iterator[None]:
    """Put modules into train or eval mode; afterwards each submodule is as it was found."""
    found = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.train(training)
        yield
    finally:
        for part, training_before in found:
            part.training = training_before


def generate_text(
    model: nn.Module,
    tokenizer,
    prompt: str = "",
    *,
    max_new_tokens: int = 80,
    seed: int = 0,
    temperature: float = 0.8,
    top_k: int = 40,
    n: int = 1,
) -> str | list[str]:
    """Let the model write on after `prompt`, which is put after bos; it stops at eos.

    Args:
        prompt: for a task with a source, `source + "\\n"`, as in training.
        temperature: 0 takes the likeliest token each time; then `top_k` and `seed` do nothing.
        top_k: draw from so many likeliest tokens only; 0 draws from all.
        n: how many texts to draw.

    Returns:
        The new text without the prompt, so `prompt + text` reads on; a list of them if n > 1.
        The global random state and the train or eval mode are left as they were found.
    """
    if temperature < 0:
        raise ValueError(f"temperature must be 0 (greedy) or more, not {temperature}.")
    for name, value, least in (("max_new_tokens", max_new_tokens, 1), ("n", n, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}.")
    if temperature == 0 and n > 1:
        raise ValueError(f"temperature 0 writes one text only, not n={n}; raise the temperature.")

    device = model.get_input_embeddings().weight.device
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[tokenizer.bos_token_id, *ids]], device=device)  # (1, T)
    context = getattr(model.config, "max_position_embeddings", None)
    if context and ids.shape[1] >= context:
        raise ValueError(
            f"the prompt is too long: {ids.shape[1]} tokens, but the model's context is {context}."
        )
    if context and ids.shape[1] + max_new_tokens > context:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens} after a prompt of {ids.shape[1]} tokens, but the "
            f"model's context is {context}; ask for {context - ids.shape[1]} at most."
        )
    sampling = {"do_sample": False}
    if temperature > 0:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": top_k, "top_p": 1.0}
    with mode(False, model), torch.no_grad(), random_state_kept(device):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds all devices
        else:
            torch.manual_seed(seed)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        settings = {"max_new_tokens": max_new_tokens, "num_return_sequences": n, **sampling}
        texts = write_on(model, tokenizer, batch, **settings)
    return texts if n > 1 else texts[0]


def write_on(model: nn.Module, tokenizer, batch: dict, **settings) -> list[str]:
    """What generate() writes after each row of input_ids, (B, T) as attention_mask, up to eos, by
    these settings whatever the model's own are: no beams, no penalty."""
    out = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        num_beams=1,
        repetition_penalty=1.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **settings,
    )  # (rows, T + new)
    new = out[:, batch["input_ids"].shape[1] :]
    return tokenizer.batch_decode(new, skip_special_tokens=True)
