"""fit(): one training loop for every method. It knows parameters, and no method."""

import contextlib
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from .evaluation import evaluate, scored_nll
from .models import fingerprint, mode
from .progress import Progress
from .randomness import random_state_kept, seed_everything
from .run_state import History, RunState
from .tasks import IGNORE, Example, Task, batches

__all__ = ["History", "fit", "learning_rate_share"]

DECAYS: dict[str, Callable[[float], float]] = {  # share of the decay done -> share of the rate
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1.0,
}
_NO_EFFECT = "module changes nothing in this model: attach it to this model first."
_MIXED = (
    "module: rows of several members are chosen, and fit shuffles the examples; choose one member "
    "around it, and train the others in turn."
)
_MERGED = "module is merged, and trains nothing like that: unmerge() it first."


def learning_rate_share(step: int, steps: int, warmup: float, decay: str) -> float:
    """The share (above 0, up to 1) of the learning rate that step 0 ... steps-1 uses.

    The first `warmup * steps` steps rise linearly to 1; the decay would be at its end at `steps`.
    """
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return DECAYS[decay]((step - rise) / max(1, steps - rise))


def fit(
    model: nn.Module,
    task: Task | Sequence[Example],
    module: nn.Module,
    *,
    steps: int = 200,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    warmup: float = 0.1,
    decay: str = "linear",
    clip: float | None = 1.0,
    weight_decay: float = 0.0,
    accumulate: int = 1,
    evaluate_every: int | None = None,
    patience: int | None = None,
    keep_best: bool = False,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 50,
    progress: bool | None = None,
    live_curve: bool | None = None,
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None,
    rate_factors: Mapping[str, float] | None = None,
) -> History:
    """Train the parameters of `module` so that `model` finds the task's targets likelier.

    Args:
        model: computes the logits, on whatever device it is (CPU, CUDA, MPS).
        task: a Task loaded with a tokenizer, or examples to train on (then without validation).
        module: whose parameters are trained: an attached method, or a model itself.
        steps: optimiser steps, each over `accumulate` batches of `batch_size` examples. Their
            loss is the sum over all scored tokens over their count: 4 x 4 equals 1 x 16.
        learning_rate: the highest one, right after the warm-up.
        warmup: the share (0 to 1) of the steps over which the learning rate rises.
        decay: "linear", "cosine" (both towards zero) or "constant".
        clip: the largest norm of the gradient, over all parameters; None does not clip.
        weight_decay: of AdamW (Loshchilov & Hutter 2019), on every trained parameter.
        evaluate_every: steps between validations; None makes five of them, 0 none. Where there
            are any, there is one before the first step and one after the last too.
        patience: stop after so many validations in a row without a new best.
        keep_best: end with the weights of the best validation instead of the last.
        seed: of the order of the data and of dropout. The global random state is left as found.
        checkpoint: a file. A run that was killed goes on from it, to the same bits on the same
            machine with the same number of threads; of a finished one it is the result.
        checkpoint_every: steps between two writings of it; the last step writes it too.
        progress, live_curve: None shows them where somebody looks; see `Progress`.
        optimizer: makes another one than AdamW from the parameters, with its own learning rate.
        rate_factors: learning rates of some parameters as multiples of `learning_rate`, by a part
            of their names: {"B": 16} is LoRA+ (Hayou et al. 2024).

    Returns:
        The history. The weights are in `module`.

    Raises:
        FloatingPointError: loss or gradient is not finite. The weights from before are kept.
        ValueError: a setting that cannot be, or a checkpoint of another run.
        TypeError: the task was loaded without a tokenizer.
    """
    _check_settings(
        steps=steps, batch_size=batch_size, accumulate=accumulate, learning_rate=learning_rate,
        warmup=warmup, decay=decay, clip=clip, patience=patience, checkpoint_every=checkpoint_every,
        evaluate_every=evaluate_every, weight_decay=weight_decay,
    )  # fmt: skip
    train, validation = _splits(task)
    if evaluate_every is None:
        evaluate_every = math.ceil(steps / 5)
    validates = bool(validation and evaluate_every)
    if (patience or keep_best) and not validates:
        name = "patience" if patience else "keep_best"
        raise ValueError(f"{name} needs validations: a task with some, and evaluate_every not 0.")
    if getattr(module, "merged", False):
        raise ValueError(_MERGED)
    if getattr(module, "mixed", False):
        raise ValueError(_MIXED)
    weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not weights:
        raise ValueError(
            "module has no parameter to train: attach the method first, or set requires_grad."
        )
    if optimizer is None:
        groups = _groups(weights, learning_rate, rate_factors or {})
        stepper = torch.optim.AdamW(groups, learning_rate, weight_decay=weight_decay)
    elif rate_factors:
        raise ValueError("rate_factors goes with AdamW: the optimizer given has its own rates.")
    else:
        stepper = optimizer(weights.values())
    device = next(model.parameters()).device
    pad_id = getattr(model.config, "pad_token_id", None) or 0  # any id will do: it is masked
    settings = {
        "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "warmup": warmup,
        "decay": decay, "clip": clip, "weight_decay": weight_decay, "accumulate": accumulate,
        "evaluate_every": evaluate_every, "patience": patience, "keep_best": keep_best,
        "seed": seed, "optimizer": type(stepper).__name__, "task": _digest(train, validation),
        "parameters": {name: list(p.shape) for name, p in weights.items()}, "base": _base(model),
        "module": _plain(_described(module)), "rate_factors": dict(rate_factors or {}),
        "rows": getattr(module, "one_row", None),
        "frozen": None if checkpoint is None else _hashed(
            p for p in module.parameters() if not p.requires_grad
        ),
        "optimizer_groups": _plain(
            [{k: v for k, v in g.items() if k != "params"} for g in stepper.param_groups]
        ),
    }  # fmt: skip
    history = History(seed=seed, versions=_versions())
    run = RunState(module, weights, stepper, device, history, settings)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.is_dir():
        raise ValueError(f"checkpoint must be a file, but {str(path)!r} is a folder; name a file.")

    began = time.perf_counter()
    with random_state_kept(device), contextlib.ExitStack() as cleanup:
        cleanup.callback(stepper.zero_grad, set_to_none=True)
        seed_everything(seed)
        if path is not None and path.exists():
            run.load(path)
            history = run.history
        if history.stopped:
            return history
        done_before, seconds_before = history.steps, history.seconds
        bar = Progress(steps, done_before, progress, live_curve)
        cleanup.callback(bar.close, history)
        stepper.zero_grad(set_to_none=True)
        stream = batches(
            train, batch_size, pad_id=pad_id, seed=seed, skip=done_before * accumulate * batch_size
        )
        with mode(True, model, module):
            if validates and not history.validation:
                run.note_validation(_validate(model, validation, pad_id, 0, 0.0), keep_best)
            while not history.stopped:
                share = learning_rate_share(history.steps, steps, warmup, decay)
                for group, rate in zip(stepper.param_groups, run.rates, strict=True):
                    group["lr"] = rate * share
                rate = (learning_rate if optimizer is None else run.rates[0]) * share
                loss = _gradients(model, [next(stream) for _ in range(accumulate)])
                if all(p.grad is None for p in weights.values()):
                    raise ValueError(_NO_EFFECT)
                _clip_and_check(weights.values(), loss, clip, history.steps + 1, rate)
                stepper.step()
                stepper.zero_grad(set_to_none=True)

                history.steps += 1
                history.train.append((history.steps, loss))
                history.learning_rates.append(rate)
                last = history.steps == steps
                if validates and (last or history.steps % evaluate_every == 0):
                    validated = _validate(model, validation, pad_id, history.steps, rate)
                    run.note_validation(validated, keep_best)
                if last:
                    history.stopped = "all steps done"
                elif patience and run.not_better >= patience:
                    history.stopped = f"no better in {patience} validations"
                if history.stopped:
                    run.restore_best()
                history.seconds = seconds_before + time.perf_counter() - began
                if path is not None and (history.stopped or history.steps % checkpoint_every == 0):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    run.save(path)
                bar.update(history)
        return history


def _groups(weights: dict[str, nn.Parameter], rate: float, factors: Mapping[str, float]) -> list:
    """The parameters in groups of one learning rate each."""
    if not isinstance(factors, Mapping):
        raise TypeError(
            f'rate_factors must be names and factors, e.g. {{"B": 16}}, not {factors!r}.'
        )
    parts = {name: name.split(".") for name in weights}
    for key, factor in factors.items():
        if not any(key in found for found in parts.values()):
            raise ValueError(
                f"rate_factors: no parameter has {key!r} in its name; there are "
                f"{', '.join(sorted({part for found in parts.values() for part in found}))}."
            )
        if not (_is_number(factor) and factor > 0):
            raise ValueError(f"rate_factors: {key!r} needs a number above 0, not {factor!r}.")
    groups: dict[float, list] = {}
    for name, parameter in weights.items():
        factor = math.prod(value for key, value in factors.items() if key in parts[name])
        groups.setdefault(factor, []).append(parameter)
    return [{"params": group, "lr": rate * factor} for factor, group in groups.items()]


def _gradients(model: nn.Module, group: list[dict]) -> float:
    """Add up the gradients of one step's batches; returns the loss in nats a scored token."""
    total = sum(int((batch["labels"][:, 1:] != IGNORE).sum()) for batch in group)
    loss = 0.0
    for batch in group:
        nats, _ = scored_nll(model, batch)
        if not nats.requires_grad:
            raise ValueError(_NO_EFFECT)
        (nats / total).backward()  # over the count in all batches: never a mean of means
        loss += nats.item() / total
    return loss


def _clip_and_check(
    parameters: Iterable[nn.Parameter], loss: float, clip: float | None, step: int, rate: float
) -> None:
    norm = float(nn.utils.clip_grad_norm_(list(parameters), math.inf if clip is None else clip))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise FloatingPointError(
            f"step {step}: the loss is {loss:.4g}, its gradient's norm {norm:.4g}, at learning "
            f"rate {rate:g}. The weights from before this step are kept. Try a tenth of the "
            "learning rate, more warm-up or a smaller clip."
        )


def _validate(model: nn.Module, examples: list, pad_id: int, step: int, rate: float) -> float:
    loss = evaluate(model, examples, pad_id=pad_id).nats_per_token
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"step {step}: the validation loss is {loss}, at learning rate {rate:g}. Try a tenth "
            "of the learning rate."
        )
    return loss


def _splits(task: Task | Sequence[Example]) -> tuple[list, list]:
    splits = (task.train, task.validation) if isinstance(task, Task) else (list(task), [])
    if not splits[0]:
        raise ValueError("task has no training examples.")
    for examples in splits:
        if examples and not isinstance(examples[0], Example):
            raise TypeError(
                "task holds rows, not tokens: load_task(name, tokenizer) makes examples of them."
            )
    return splits


def _check_settings(**given) -> None:
    least_one = ("steps", "batch_size", "accumulate", "checkpoint_every", "patience")
    for name in (*least_one, "evaluate_every"):
        value, least = given[name], 1 if name in least_one else 0
        optional = name in ("patience", "evaluate_every") and value is None
        if not optional and (not isinstance(value, int) or value < least):
            raise ValueError(f"{name} must be a whole number from {least} on, not {value!r}.")
    for name in ("learning_rate", "clip"):
        value = given[name]
        if not (name == "clip" and value is None) and not (_is_number(value) and value > 0):
            raise ValueError(f"{name} must be a number above 0 and finite, not {value!r}.")
    if not _is_number(given["weight_decay"]) or given["weight_decay"] < 0:
        raise ValueError(f"weight_decay must be 0 or above, not {given['weight_decay']!r}.")
    if not (_is_number(given["warmup"]) and 0 <= given["warmup"] <= 1):
        raise ValueError(f"warmup is a share of the steps, 0 to 1, not {given['warmup']!r}.")
    if given["decay"] not in DECAYS:
        raise ValueError(f"decay must be one of {', '.join(DECAYS)}, not {given['decay']!r}.")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _versions() -> dict[str, str]:
    """Of what the numbers depend on, without importing it."""
    packages = {name: version(name) for name in ("torch", "transformers")}
    return {"python": platform.python_version(), **packages}


def _digest(*splits: Sequence[Example]) -> str:
    """16 digits that tell one task's examples from another's."""
    digest = hashlib.sha256()
    for split in splits:
        for example in split:
            digest.update(repr((example.input_ids.tolist(), example.labels.tolist())).encode())
        digest.update(b"next split")
    return digest.hexdigest()[:16]


def _hashed(tensors: Iterable[torch.Tensor]) -> str:
    """16 digits that tell the values of tensors from others."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _described(module: nn.Module) -> dict:
    """What tells apart modules whose parameters have the same names and shapes."""
    told = {"type": type(module).__name__}
    with contextlib.suppress(AttributeError, NotImplementedError):
        told["settings"] = module.settings()
    for name in ("init", "seed", "text", "labels"):
        told[name] = getattr(module, name, None)
    told["members"] = [_described(member) for member in getattr(module, "members", ())]
    return told


def _plain(value):
    """As JSON gives it back; of a tensor a hash, of what else JSON cannot hold, the type."""

    def default(other) -> str:
        return _hashed([other]) if isinstance(other, torch.Tensor) else type(other).__name__

    return json.loads(json.dumps(value, default=default))


def _base(model: nn.Module) -> str | None:
    """The fingerprint of the base; None where its embeddings are trained, and so not fixed."""
    return None if model.get_input_embeddings().weight.requires_grad else fingerprint(model)
