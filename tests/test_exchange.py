"""Files to and from Hugging Face `peft`: the same logits on both sides, in float64, to 1e-10."""

import json
import shutil

import pytest
import torch
from tiny import ARCHITECTURES, L, config, fill, tiny, tokens

from peft_lab.anatomy import FAMILIES, Anatomy
from peft_lab.exchange import from_peft, to_peft
from peft_lab.methods import (
    IA3,
    Adapter,
    BitFit,
    Compose,
    LoRA,
    MAMAdapter,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
)

peft = pytest.importorskip("peft")
N, CLOSE = 5, 1e-10
_TASK = {"task_type": "CAUSAL_LM", "num_virtual_tokens": N}
FILES = ("adapter_config.json", "adapter_model.safetensors")

METHODS = {
    "prompt": lambda: PromptTuning(N),
    "prefix": lambda: PrefixTuning(N),
    "prefix, some trained": lambda: PrefixTuning(N, trainable=[1]),
    "prefix with its MLP": lambda: PrefixTuning(N, mlp=6),
    "p-tuning": lambda: PTuning(N, 6),
    "p-tuning by LSTM": lambda: PTuning(N, 6, encoder="lstm"),
    "lora": lambda: LoRA(3, alpha=7),
    "lora, rank-stabilised": lambda: LoRA(3, alpha=7, rank_stabilised=True),
    "lora, all, two layers": lambda: LoRA(2, alpha=5, targets="all", layers=(0, 2)),
    "lora, unlike ranks": lambda: LoRA(2, 5, ("q", "k", "v", "o"), rank_stabilised=True),
    "dora": lambda: LoRA(2, alpha=6, targets=("v", "down"), dora=True),
    "ia3": lambda: IA3(),
    "ia3, one layer, attention": lambda: IA3(layers=[1], feed_forward=False),
}  # fmt: skip
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def paths(architecture: str, roles: str) -> list[str]:
    """What peft calls the linear layers of these roles (q, k, v, o, up, down): ends of names."""
    known = FAMILIES[config(architecture).model_type].linears
    found = [known.get(role, known.get("qkv")) for role in roles.split()]
    return list(dict.fromkeys(found))


def written(method: Method, architecture: str, folder) -> torch.Tensor:
    """Attach a method with random numbers and write it; its logits."""
    model = tiny(architecture)
    with method.attach(model):
        fill(method)
        to_peft(method, folder)
        return model(tokens()).logits.detach()


def loaded_by_peft(model, folder):
    """In float64: peft makes some parameters in float32 and then takes a file into those."""
    theirs = peft.PeftModel.from_pretrained(model, folder).double().eval()
    result = peft.set_peft_model_state_dict(theirs, peft.load_peft_weights(str(folder)))
    assert not result.unexpected_keys
    return theirs


def saved_by_peft(settings, architecture: str, folder):
    """A peft model with random numbers, saved."""
    theirs = peft.get_peft_model(tiny(architecture), settings).double().eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    theirs.save_pretrained(folder)
    return theirs


def their_logits(theirs, ids: torch.Tensor) -> torch.Tensor:
    return theirs(ids, attention_mask=torch.ones_like(ids)).logits[:, -ids.shape[1] :].detach()


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


@every_architecture
@pytest.mark.parametrize("name", METHODS)
def test_peft_reads_what_was_written_here(name, architecture, tmp_path):
    ours = written(METHODS[name](), architecture, tmp_path)
    theirs = loaded_by_peft(tiny(architecture), tmp_path)
    d = difference(their_logits(theirs, tokens()), ours)
    print("DIFF", d, float((ours - tiny(architecture)(tokens()).logits).abs().max()))
    assert d <= CLOSE


@every_architecture
@pytest.mark.parametrize("name", METHODS)
def test_and_so_do_we(name, architecture, tmp_path):
    ours, model = written(METHODS[name](), architecture, tmp_path), tiny(architecture)
    with from_peft(tmp_path, model).attach(model):
        d = difference(model(tokens()).logits, ours)
    print("DIFF", d)
    assert d <= CLOSE
