"""The training run that test_resume.py kills: python killed_run.py CHECKPOINT RESULT STEPS

It prints a line at every forward pass, so that it can be killed after so many of them, however
fast the machine. Its model shows `fit` nothing but the interface that it needs, and uses all
that a resumed run must take up: dropout from all three random generators, a buffer, validation
and the best weights. It does without transformers, so that a process starts in a second or two.
"""

import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import torch
from torch import nn

SETTINGS = {
    "steps": 120, "batch_size": 3, "accumulate": 2, "learning_rate": 3e-3, "evaluate_every": 20,
    "patience": 1000, "keep_best": True, "seed": 5, "checkpoint_every": 3,
}  # fmt: skip


class NoisyModel(nn.Module):
    """A recurrent language model; Python's and NumPy's random numbers scale what it sees."""

    def __init__(self, width: int = 96):
        super().__init__()
        self.config = SimpleNamespace(pad_token_id=0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.embedding = nn.Embedding(97, width)
            self.recurrent = nn.GRU(width, width, batch_first=True)
            self.dropout = nn.Dropout(0.2)
            self.norm = nn.BatchNorm1d(width, momentum=0.5)  # its running mean is a buffer
            self.head = nn.Linear(width, 97)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def forward(self, input_ids, attention_mask, use_cache=None):
        x = self.dropout(self.embedding(input_ids))  # (B, T, d)
        if self.training:
            x = x * (0.9 + 0.1 * random.random() + 0.1 * float(numpy.random.rand()))
        x, _ = self.recurrent(x)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return SimpleNamespace(logits=self.head(x))


def main(checkpoint: Path, result: Path, steps: int) -> None:
    torch.set_num_threads(1)
    root = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(root), str(root / "tests")]
    from safetensors.torch import save_file
    from toy import toy_task

    from peft_lab.training import fit

    model = NoisyModel()
    model.register_forward_pre_hook(lambda *_: print("forward", flush=True))
    history = fit(model, toy_task(), model, checkpoint=checkpoint, **{**SETTINGS, "steps": steps})
    save_file(model.state_dict(), result)
    result.with_suffix(".json").write_text(json.dumps(history.to_dict()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
