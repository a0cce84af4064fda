"""What a training run leaves behind, and what it needs to go on where it stopped."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from .checkpoint import optimizer_state, read_checkpoint, set_optimizer_state, write_checkpoint
from .randomness import random_state, set_random_state


@dataclass(repr=False)
class History:
    """What a run did. Losses are in nats a scored token, each beside the steps done by then."""

    seed: int
    steps: int = 0  # done
    train: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)  # one a step
    best: tuple[int, float] | None = None  # (step, nats) of the lowest validation loss
    stopped: str = ""  # why; empty while the run is not finished
    seconds: float = 0.0  # wall time, over all parts of a resumed run
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "History":
        """Undo `to_dict`, also after JSON has turned the pairs into lists."""
        pairs = {name: [tuple(pair) for pair in values[name]] for name in ("train", "validation")}
        best = None if values["best"] is None else tuple(values["best"])
        return cls(**{**values, **pairs, "best": best})

    def __repr__(self) -> str:
        parts = [f"{self.steps} steps in {self.seconds:.1f} s", f"seed {self.seed}"]
        parts.append(self.stopped or "not finished")
        if self.train:
            parts.append(f"train {self.train[0][1]:.3f} -> {self.train[-1][1]:.3f}")
        if self.validation:
            first, last = self.validation[0][1], self.validation[-1][1]
            parts.append(f"validation {first:.3f} -> {last:.3f}, best {self.best[1]:.3f}")
        return f"History({'; '.join(parts)} nats a token)"


class RunState:
    """All that changes while `fit` runs, and so all that its checkpoint holds.

    Args:
        weights: the trained parameters by name.
        settings: JSON-able; a checkpoint is taken up only by a run with equal settings.
    """

    def __init__(
        self,
        module: nn.Module,
        weights: dict[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        history: History,
        settings: dict,
    ):
        self.module, self.weights, self.optimizer = module, weights, optimizer
        self.device, self.history, self.settings = device, history, settings
        self.rates = [group["lr"] for group in optimizer.param_groups]  # before the schedule
        self.not_better = 0  # validations in a row
        self.best: dict[str, torch.Tensor] = {}

    def _buffers(self) -> dict[str, torch.Tensor]:
        """What the module remembers besides its parameters."""
        parameters = dict(self.module.named_parameters(remove_duplicate=False))
        return {k: v for k, v in self.module.state_dict().items() if k not in parameters}

    def note_validation(self, loss: float, keep_best: bool) -> None:
        """Record a validation loss; keep the weights if it is the best so far."""
        history = self.history
        history.validation.append((history.steps, loss))
        if history.best is not None and loss >= history.best[1]:
            self.not_better += 1
            return
        history.best, self.not_better = (history.steps, loss), 0
        if keep_best:
            self.best = {name: p.detach().clone() for name, p in self.weights.items()}

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best weights back, if any were kept, and keep them no longer."""
        for name, tensor in self.best.items():
            self.weights[name].copy_(tensor)
        self.best = {}

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        random_tensors, random_values = random_state(self.device)
        optimizer_tensors, optimizer_values = optimizer_state(self.optimizer)
        parts: dict[str, Mapping[str, torch.Tensor]] = {
            "weights": self.weights,
            "buffers": self._buffers(),
            "best": self.best,
            "optimizer": optimizer_tensors,
            "random": random_tensors,
        }
        state = {
            "settings": self.settings,
            "history": self.history.to_dict(),
            "not_better": self.not_better,
            "rates": self.rates,
            "optimizer": optimizer_values,
            "random": random_values,
        }
        tensors = {f"{part}/{k}": v for part, content in parts.items() for k, v in content.items()}
        write_checkpoint(path, tensors, state)

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Take up a checkpoint, the global random state included.

        Raises:
            ValueError: it is damaged, or of a run with other settings.
        """
        tensors, state = read_checkpoint(path)
        for name, now in self.settings.items():
            then = state["settings"].get(name)
            if then != now:
                raise ValueError(
                    f"checkpoint {str(path)!r} is of another run: {name} was {_short(then)} there "
                    f"and is {_short(now)} now; delete the file or name another one."
                )
        parts: dict[str, dict] = {"buffers": {}, "best": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            part, name = key.split("/", 1)
            parts.setdefault(part, {})[name] = tensor
        for name, tensor in parts["weights"].items():
            self.weights[name].copy_(tensor)
        buffers = self._buffers()
        for name, tensor in parts["buffers"].items():
            buffers[name].copy_(tensor)
        self.best = {name: tensor.to(self.device) for name, tensor in parts["best"].items()}
        set_optimizer_state(self.optimizer, parts["optimizer"], state["optimizer"])
        self.history = History.from_dict(state["history"])
        self.not_better, self.rates = state["not_better"], state["rates"]
        set_random_state(parts["random"], state["random"], self.device)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
