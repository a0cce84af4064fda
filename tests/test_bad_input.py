"""Each mistake gets its own error, which names the argument, what was given, and what would do."""

import json
import re

import pytest
import torch
from tiny import CONTEXT, tiny, tokens
from torch import nn
from toy import save_toy_base, toy_examples, toy_model, toy_task, toy_tokenizer

from peft_lab import data_dir
from peft_lab.accounting import count, memory
from peft_lab.anatomy import Anatomy
from peft_lab.evaluation import accuracy, classify, evaluate, forgetting, scored_nll, slot_recall
from peft_lab.methods import (
    IA3,
    Adapter,
    BitFit,
    Compose,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    MAMAdapter,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
    UniPELT,
)
from peft_lab.models import generate_text, load_base
from peft_lab.rows import Row
from peft_lab.tasks import batches, collate, encode, load_task
from peft_lab.training import fit

F32 = torch.float32


def task_file(name: str, content: str | bytes):
    """Load a task from a file with this content."""

    def load(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        load_task(folder / name)

    return load


def fitting(**settings):
    """Train a tiny model with these settings."""

    def train(folder):
        model = tiny("llama", dtype=F32)
        fit(model, settings.pop("task", toy_task()), model, **{"steps": 2, **settings})

    return train


def writing(prompt="the fox", **settings):
    return lambda folder: generate_text(toy_model(), toy_tokenizer(), prompt, **settings)


def all_masked(folder):
    batch = collate(toy_examples(2), 0)
    batch["labels"].fill_(-100)
    scored_nll(tiny("llama"), batch)


def of_rows(folder):
    (folder / "t.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n')
    fitting(task=load_task(folder / "t.jsonl"))(folder)


def nan_loss(folder):
    model = tiny("llama", dtype=F32)
    model.model.norm.weight.data.fill_(float("nan"))
    fit(model, toy_examples(4), model, steps=2, learning_rate=0.5, warmup=0)


def truncated_checkpoint(folder):
    fitting(checkpoint=folder / "run")(folder)
    (folder / "run").write_bytes((folder / "run").read_bytes()[:-100])
    fitting(checkpoint=folder / "run")(folder)


def other_checkpoint(folder):
    fitting(checkpoint=folder / "run")(folder)
    fitting(checkpoint=folder / "run", learning_rate=0.5)(folder)


def checkpoint_is_no_checkpoint(folder):
    (folder / "notes").write_text("buy milk")
    fitting(checkpoint=folder / "notes")(folder)


def attached_twice(folder):
    model = tiny("llama")
    first = PromptTuning(2).attach(model)
    try:
        PrefixTuning(2).attach(model)
    finally:
        first.detach()


def of_another_base(folder):
    PromptTuning(2).attach(tiny("llama")).save(folder)
    Method.load(folder).attach(tiny("llama", seed=1))


def damaged_method(folder):
    PromptTuning(2).attach(tiny("llama")).save(folder)
    file = folder / "method.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    Method.load(folder)


def of_another_kind(folder):
    PromptTuning(2).attach(tiny("llama")).save(folder)
    PrefixTuning.load(folder)


def foreign_method(folder):
    (folder / "adapter_config.json").write_text("{}")
    Method.load(folder)


def with_static_cache(folder):
    from transformers import StaticCache

    model = tiny("llama")
    with PromptTuning(2).attach(model):
        cache = StaticCache(config=model.config, max_cache_len=32)
        model(tokens(), past_key_values=cache)


def with_a_foreign_cache(folder):
    model = tiny("llama")
    cache = model(tokens(), use_cache=True).past_key_values
    with PromptTuning(2).attach(model):
        model(tokens(), past_key_values=cache)


def prefix_with_checkpointing(folder):
    model = tiny("llama").train()
    model.gradient_checkpointing_enable()  # activation_checkpointing_enable in transformers 6
    with PrefixTuning(2).attach(model):
        model(tokens())


def base_with_a_tensor_less(folder):
    from safetensors.torch import load_file, save_file

    save_toy_base(folder, "model")
    file = next(folder.rglob("model.safetensors"))
    tensors = load_file(file)
    del tensors["model.norm.weight"]
    save_file(tensors, file, {"format": "pt"})
    load_base(file.parent)


def trained_in_another_type(folder):
    biases = BitFit().attach(tiny("llama", dtype=F32))
    biases.detach()
    biases.attach(tiny("llama", dtype=F32).to(torch.bfloat16))


def saved_without(field, method):
    """Load a saved method whose description has lost a field."""

    def load(folder):
        method.attach(tiny("llama")).save(folder)
        file = folder / "method.json"
        record = json.loads(file.read_text())
        del record[field]
        file.write_text(json.dumps(record))
        Method.load(folder)

    return load


def saved_with(method, **settings):
    """Attach a saved method whose description has other settings than it was trained with."""

    def load(folder):
        method.attach(tiny("gpt2")).save(folder)
        file = folder / "method.json"
        record = json.loads(file.read_text())
        record["settings"] |= settings
        file.write_text(json.dumps(record))
        Method.load(folder).attach(tiny("gpt2"))

    return load


def on_a_wider_base(folder):
    IA3().attach(tiny("gpt2")).save(folder)
    Method.load(folder).attach(tiny("gpt2", hidden_size=64), any_base=True)


def of_no_known_family():
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=1))


def prefix_and_text_too_long(folder):
    model = tiny("gpt2")
    with MAMAdapter(40, 4).attach(model):
        model(tokens(1, 30))


def gates_never_seen(folder):
    with UniPELT(2, 2, 4).attach(tiny("gpt2")) as method:
        method.gates()


def trained_while_merged(folder):
    model = tiny("llama", dtype=F32)
    method = LoRA(2).attach(model)
    method.merge()
    fit(model, toy_examples(4), method, steps=1)


def other_rate_factors(folder):
    for factors in ({"norm": 4}, {"embed_tokens": 4}):
        fitting(checkpoint=folder / "run", rate_factors=factors)(folder)


def forgetting_apples_by_pears(folder):
    one, two = (evaluate(tiny("llama"), toy_examples(n), pad_id=0) for n in (2, 3))
    forgetting(one, two)


def missing_split(folder):
    (folder / "train.jsonl").write_text('{"text": "x"}\n')
    load_task(folder)


LONG = "the fox and the hen sat on a mat " * 9

# name: (what is done, the error, texts that it must hold)
CASES = {
    # models
    "unknown storyteller": (
        lambda f: load_base("storyteller-giant"), ValueError, "storyteller-giant", "course has"),
    "folder that is not there": (
        lambda f: load_base(f / "model"), FileNotFoundError, "no folder", "save_pretrained"),
    "folder without a model": (
        lambda f: load_base(f), FileNotFoundError, "config.json", "save_pretrained"),
    "hub id without a network": (
        lambda f: load_base("nobody/nothing"), ValueError, "nobody/nothing", "hub"),
    "base with a tensor less": (
        base_with_a_tensor_less, ValueError, "lack 1", "model.norm.weight", "again"),
    "base that is no name": (lambda f: load_base(7), TypeError, "name must be", "7"),
    "negative temperature": (writing(temperature=-1), ValueError, "temperature", "-1", "greedy"),
    "no new tokens": (writing(max_new_tokens=0), ValueError, "max_new_tokens", "at least 1"),
    "several greedy texts": (writing(n=3, temperature=0), ValueError, "temperature 0", "n=3"),
    "prompt longer than the context": (
        writing(LONG, max_new_tokens=90), ValueError, "max_new_tokens is 90", "context is 128"),
    # tasks
    "unknown task": (lambda f: load_task("songs"), ValueError, "'songs'", "the course has", "path"),
    "task file that is not there": (
        lambda f: load_task(f / "songs.jsonl"), FileNotFoundError, "songs.jsonl"),
    "task folder without a split": (missing_split, FileNotFoundError, "no validation.jsonl"),
    "file of another kind": (
        task_file("t.xlsx", "x"), ValueError, "t.xlsx", ".jsonl, .csv or .txt"),
    "empty file": (task_file("t.jsonl", "\n\n"), ValueError, "t.jsonl is empty"),
    "too few rows to split": (
        task_file("t.txt", "one\ntwo\n"), ValueError, "2 different rows", "at least 3"),
    "broken JSON": (
        task_file("t.jsonl", '{"text": "a"}\n{"text": \n'), ValueError, "t.jsonl:2", "not JSON"),
    "row that is no object": (
        task_file("t.jsonl", '{"text": "a"}\n\n"b"\n'), ValueError, "t.jsonl:3", '{"source": ...'),
    "row without a target": (
        task_file("t.jsonl", '{"source": "a", "answer": "b"}\n'),
        ValueError, "t.jsonl:1", 'no "target"', "source, answer"),
    "target that is no text": (
        task_file("t.jsonl", '{"target": 3}\n'), ValueError, "t.jsonl:1", "must be a text", "3"),
    "empty target": (
        task_file("t.jsonl", '{"source": "a", "target": " "}\n'), ValueError, "t.jsonl:1", "empty"),
    "CSV row with a cell too many": (
        task_file("t.csv", "source,target\na,b\na,b,c\n"), ValueError, "t.csv:3", "source, target"),
    "file that is not UTF-8": (
        task_file("t.txt", b"one\ntw\xf6\nthree"), ValueError, "t.txt:2", "save the file as UTF-8"),
    "source that fills the context": (
        lambda f: encode([Row(LONG, "x", 7)], toy_tokenizer(), max_length=20, file="t.jsonl"),
        ValueError, "t.jsonl:7", "max_length=20", "raise it"),
    "max_length without room": (
        lambda f: encode([], toy_tokenizer(), max_length=1),
        ValueError, "max_length", "at least 2", "not 1"),
    "padding on no side": (
        lambda f: collate(toy_examples(2), 0, side="top"), ValueError, "side", "'top'", '"left"'),
    "batch of rows": (
        lambda f: collate([Row("", "x", 1)], 0), TypeError, "rows, not examples", "tokenizer"),
    "batch of nothing": (lambda f: collate([], 0), ValueError, "no examples"),
    "batches of size 0": (
        lambda f: next(batches(toy_examples(2), 0, pad_id=0)), ValueError, "batch_size", "not 0"),
    # evaluation
    "all labels masked": (all_masked, ValueError, "labels", "-100", "nothing to score"),
    "nothing to evaluate": (
        lambda f: evaluate(tiny("llama"), [], pad_id=0), ValueError, "examples is empty"),
    "one label only": (
        lambda f: classify(toy_model(), toy_tokenizer(), [Row("a", "joy", 1)], ["joy"]),
        ValueError, "labels", "two", "['joy']"),
    "target among no labels": (
        lambda f: accuracy(toy_model(), toy_tokenizer(), [Row("a", "awe", 1)], ["joy", "fear"]),
        ValueError, "labels", "lack the target 'awe'"),
    "forgetting of other texts": (
        forgetting_apples_by_pears, ValueError, "before", "after", "not the same"),
    "slots without names": (
        lambda f: slot_recall("x", "Tom, fox"), ValueError, "source", "name: value", "Tom, fox"),
    # training
    "no steps": (fitting(steps=0), ValueError, "steps", "from 1 on", "not 0"),
    "half a batch": (fitting(batch_size=2.5), ValueError, "batch_size", "whole number", "2.5"),
    "no accumulation": (fitting(accumulate=0), ValueError, "accumulate", "from 1 on"),
    "learning rate of 0": (fitting(learning_rate=0), ValueError, "learning_rate", "above 0"),
    "infinite learning rate": (
        fitting(learning_rate=float("inf")), ValueError, "learning_rate", "finite", "inf"),
    "learning rate in quotes": (
        fitting(learning_rate="1e-3"), ValueError, "learning_rate", "number", "'1e-3'"),
    "negative weight decay": (
        fitting(weight_decay=-0.1), ValueError, "weight_decay", "0 or above", "-0.1"),
    "clipping to nothing": (fitting(clip=0), ValueError, "clip", "above 0"),
    "warm-up in steps": (fitting(warmup=20), ValueError, "warmup", "share", "0 to 1", "20"),
    "unknown decay": (
        fitting(decay="exp"), ValueError, "decay", "linear, cosine, constant", "'exp'"),
    "patience of 0": (fitting(patience=0), ValueError, "patience", "from 1 on"),
    "negative evaluate_every": (fitting(evaluate_every=-1), ValueError, "evaluate_every", "from 0"),
    "patience without validation": (
        fitting(task=toy_examples(4), patience=2), ValueError, "patience", "validations"),
    "keep_best without validation": (
        fitting(evaluate_every=0, keep_best=True), ValueError, "keep_best", "evaluate_every"),
    "empty task": (fitting(task=[]), ValueError, "task", "no training examples"),
    "task without a tokenizer": (of_rows, TypeError, "task holds rows", "tokenizer"),
    "method not attached": (
        lambda f: fit(tiny("llama"), toy_examples(4), PromptTuning(2)),
        ValueError, "module has no parameter", "attach"),
    "module without a live parameter": (
        lambda f: fit(tiny("llama"), toy_examples(4), tiny("llama").requires_grad_(False)),
        ValueError, "module has no parameter", "set requires_grad"),
    "module without effect": (
        lambda f: fit(tiny("llama").requires_grad_(False), toy_examples(4), nn.Linear(2, 2)),
        ValueError, "module changes nothing", "attach"),
    "rate of a parameter that is not there": (
        fitting(rate_factors={"B": 16}), ValueError, "rate_factors", "'B'", "norm"),
    "rate factor of 0": (
        fitting(rate_factors={"norm": 0}), ValueError, "rate_factors", "'norm'", "above 0", "0"),
    "rate factors for another optimizer": (
        fitting(rate_factors={"norm": 2}, optimizer=torch.optim.SGD),
        ValueError, "rate_factors", "AdamW"),
    "NaN loss": (nan_loss, FloatingPointError, "step 1", "nan", "learning rate 0.5", "a tenth"),
    "truncated checkpoint": (truncated_checkpoint, ValueError, "run", "truncated", "delete it"),
    "checkpoint of another run": (
        other_checkpoint, ValueError, "learning_rate was 0.001", "0.5 now", "delete the file"),
    "folder as a checkpoint": (
        lambda f: fitting(checkpoint=f)(f), ValueError, "checkpoint must be a file", "folder"),
    "file that is no checkpoint": (
        checkpoint_is_no_checkpoint, ValueError, "notes", "no checkpoint", "another file"),
    # accounting
    "unknown optimizer": (
        lambda f: memory(tiny("llama"), tiny("llama"), {}, optimizer="lion"),
        ValueError, "optimizer", "'lion'", '"adamw"'),
    "memory of nothing trained": (
        lambda f: memory(tiny("llama"), PromptTuning(2), {}), ValueError, "method", "attach"),
    "count of a detached method": (
        lambda f: count(PromptTuning(2)), ValueError, "not attached", "count(method, model)"),
    # methods
    "decoder with cross-attention": (
        lambda f: Anatomy(tiny("gpt2", add_cross_attention=True)),
        ValueError, "add_cross_attention", "alone"),
    "weights of another type": (
        trained_in_another_type, ValueError, "does not fit", "torch.bfloat16", "torch.float32"),
    "composition without its members": (
        saved_without("members", Compose([PromptTuning(2), BitFit()])),
        ValueError, "method.json", "damaged", "members"),
    "training what is merged": (trained_while_merged, ValueError, "merged", "unmerge()"),
    "resumed with other rate factors": (
        other_rate_factors, ValueError, "rate_factors was {'norm': 4}", "'embed_tokens'"),
    "rate factors that are a text": (
        fitting(rate_factors="B"), TypeError, "rate_factors", "names and factors", "'B'"),
    "layer of another model": (
        lambda f: LoRA(2, targets="encoder.layers.0.self_attn.q_proj").attach(tiny("llama")),
        ValueError, "targets", "encoder.layers.0"),
    "a fused layer and its part": (
        lambda f: LoRA(2, targets=("q", "qkv")).attach(tiny("gpt2")),
        ValueError, "targets", "qkv holds q"),
    "method without its settings": (
        saved_without("settings", PromptTuning(2)),
        ValueError, "method.json", "damaged", "settings"),
    "model of an unknown family": (
        lambda f: Anatomy(nn.Linear(2, 2)), TypeError, "model must be", "Linear"),
    "prompt of length 0": (lambda f: PromptTuning(0), ValueError, "length", "0"),
    "prompt as long as the context": (
        lambda f: PromptTuning(CONTEXT).attach(tiny("gpt2")), ValueError, "length", str(CONTEXT)),
    "unknown initialisation": (
        lambda f: PromptTuning(2, init="zeros"), ValueError, "init", "'zeros'", "vocabulary"),
    "text initialisation without a text": (
        lambda f: PromptTuning(2, init="text"), ValueError, "text", "tokenizer"),
    "start vectors of another shape": (
        lambda f: PromptTuning(2, init=torch.zeros(3, 5)).attach(tiny("gpt2")),
        ValueError, "init", "(2, 32)", "(3, 5)"),
    "layer that is not there": (
        lambda f: PrefixTuning(2, layers=[7]).attach(tiny("gpt2")),
        ValueError, "layers", "[7]", "[0, 1, 2]"),
    "unknown encoder": (
        lambda f: PTuning(2, 8, encoder="gru"), ValueError, "encoder", "'gru'", '"lstm"'),
    "no block to train": (lambda f: LayerFreezing.top(0), ValueError, "count", "0"),
    "more blocks than there are": (
        lambda f: LayerFreezing.top(9).attach(tiny("gpt2")), ValueError, "count=9", "0 to 2"),
    "BitFit without biases": (
        lambda f: BitFit().attach(tiny("llama", attention_bias=False, mlp_bias=False)),
        ValueError, "no biases", "LayerFreezing"),
    "rank of 0": (lambda f: LoRA(0), ValueError, "rank", "from 1 on", "0"),
    "rank above the width": (
        lambda f: LoRA(33).attach(tiny("gpt2")), ValueError, "rank", "33", "32 at most"),
    "target that is not there": (
        lambda f: LoRA(2, targets=("q", "gate")).attach(tiny("gpt2")),
        ValueError, "targets", "'gate'", "down", "head"),
    "layers without any": (
        lambda f: LoRA(2, layers=()), ValueError, "layers", "indices of blocks", "()"),
    "layer that is a number": (
        lambda f: Adapter(4, layers=3), ValueError, "layers", "e.g. (0, 2)", "not 3"),
    "no targets": (
        lambda f: LoRA(2, targets=[]), ValueError, "targets", "names of linear layers", "[]"),
    "all and something else": (
        lambda f: LoRA(2, targets=["all", "head"]), ValueError, "targets", '"all" or names'),
    "flag that is a text": (lambda f: LoRA(2, dora="no"), ValueError, "dora", "True or False"),
    "infinite alpha": (
        lambda f: LoRA(2, alpha=float("inf")), ValueError, "alpha", "finite", "inf"),
    "alpha of 0": (lambda f: LoRA(2, alpha=0), ValueError, "alpha", "above 0"),
    "dropout of everything": (lambda f: LoRA(2, dropout=1), ValueError, "dropout", "below 1"),
    "DoRA behind a gate": (
        lambda f: LoRA(2, dora=True, gated=True), ValueError, "dora", "gated", "one of them"),
    "gate of another width": (
        lambda f: LoRA(2, targets="down", gated=True).attach(tiny("gpt2")),
        ValueError, "targets", "gated", "'down'"),
    "merging into a tied weight": (
        lambda f: LoRA(2, targets="head").attach(tiny("gpt2")).merge(),
        ValueError, "two places", "tie_word_embeddings=False"),
    "adapter of no width": (lambda f: Adapter(0), ValueError, "width", "from 1 on", "0"),
    "unknown adapter": (
        lambda f: Adapter(4, "serial"), ValueError, "placement", "houlsby", "'serial'"),
    "unknown activation": (
        lambda f: Adapter(4, activation="tanh"), ValueError, "activation", "gelu", "'tanh'"),
    "adapter scaled by 0": (lambda f: Adapter(4, scale=0), ValueError, "scale", "above 0"),
    "adapter in a layer that is not there": (
        lambda f: Adapter(4, layers=[3]).attach(tiny("gpt2")), ValueError, "layers", "[3]", "2]"),
    "IA3 in a layer that is not there": (
        lambda f: IA3([0, 5]).attach(tiny("llama")), ValueError, "layers", "[0, 5]", "[0, 1, 2]"),
    "IA3 in layers from the top": (
        lambda f: IA3([-1]).attach(tiny("gpt2")), ValueError, "layers", "[-1]", "[0, 1, 2]"),
    "IA3 in layers that are a text": (
        lambda f: IA3("02"), ValueError, "layers", "e.g. (0, 2)", "'02'"),
    "IA3 with a part for a flag": (
        lambda f: IA3(feed_forward="down"), ValueError, "feed_forward", "True or False", "'down'"),
    "IA3 on one layer of a model": (
        lambda f: IA3().attach(tiny("llama").model.layers[0]),
        TypeError, "model must be", "causal language model", "LlamaDecoderLayer"),
    "IA3 on a model without attention": (
        lambda f: IA3().attach(of_no_known_family()),
        ValueError, "config", "'mamba'", "known are gpt2, llama"),
    "IA3 of a narrower base": (
        on_a_wider_base, ValueError, "does not fit this model", "keys.0", "[32]", "[64]"),
    "IA3 of other layers than it says": (
        saved_with(IA3([0, 1]), layers=[0]), ValueError, "does not fit", "IA3", "keys.1"),
    "MAM without a prefix": (
        lambda f: MAMAdapter(0), ValueError, "prefix_length must", "from 1 on", "not 0"),
    "MAM of half a width": (
        lambda f: MAMAdapter(width=2.5), ValueError, "width", "whole number", "2.5"),
    "MAM that takes away": (lambda f: MAMAdapter(scale=-4), ValueError, "scale", "above 0", "-4"),
    "MAM's prefix as long as the context": (
        lambda f: MAMAdapter(CONTEXT, 4).attach(tiny("llama")),
        ValueError, "prefix_length", f"{CONTEXT} virtual", f"context is {CONTEXT}", "fewer"),
    "MAM's prefix and a long text": (
        prefix_and_text_too_long, ValueError, "40 virtual and 30 real", "64", "shorten"),
    "MAM of another width than it says": (
        saved_with(MAMAdapter(2, 4), width=9), ValueError, "does not fit", "Adapter", "[4, 32]"),
    "MAM without its width": (
        saved_with(MAMAdapter(2, 4), width=None), ValueError, "method.json", "damaged", "width"),
    "merging MAM": (
        lambda f: MAMAdapter(2, 4).attach(tiny("gpt2")).merge(),
        RuntimeError, "MAMAdapter cannot be merged", "save()"),
    "UniPELT's prefix in quotes": (
        lambda f: UniPELT("10"), ValueError, "prefix_length must", "whole number", "'10'"),
    "UniPELT of half a rank": (
        lambda f: UniPELT(rank=2.5), ValueError, "rank", "whole number", "2.5"),
    "UniPELT of a negative width": (
        lambda f: UniPELT(width=-1), ValueError, "width", "from 1 on", "-1"),
    "UniPELT's rank above the width of the values": (
        lambda f: UniPELT(2, 17, 4).attach(tiny("llama")),
        ValueError, "rank", "17", "'v'", "16 at most"),
    "UniPELT on a module": (
        lambda f: UniPELT(2, 2, 4).attach(nn.Linear(2, 2)),
        TypeError, "model must be", "causal language model", "Linear"),
    "UniPELT on a model without attention": (
        lambda f: UniPELT(2, 2, 4).attach(of_no_known_family()),
        ValueError, "config", "'mamba'", "A new family"),
    "UniPELT of another rank than it says": (
        saved_with(UniPELT(2, 2, 4), rank=3), ValueError, "does not fit", "LoRA", "[3, 32]"),
    "UniPELT within a composition": (
        lambda f: Compose([UniPELT(2, 2, 4), IA3()]),
        ValueError, "members", "UniPELT", "*it.members"),
    "merging UniPELT": (
        lambda f: UniPELT(2, 2, 4).attach(tiny("gpt2")).merge(),
        RuntimeError, "UniPELT cannot be merged", "save()"),
    "gates of UniPELT before it is attached": (
        lambda f: UniPELT().gates(), RuntimeError, "UniPELT has no numbers", "attach"),
    "gates of UniPELT before a text": (
        gates_never_seen, RuntimeError, "no gate", "run the model once"),
    "composition of nothing": (lambda f: Compose([]), ValueError, "members", "at least one"),
    "two members for one tensor": (
        lambda f: Compose([FullFineTuning(), BitFit()]).attach(tiny("gpt2")),
        ValueError, "members", "one member only"),
    "second method on a model": (attached_twice, RuntimeError, "PromptTuning", "detach", "Compose"),
    "merging a prompt": (
        lambda f: PromptTuning(2).attach(tiny("gpt2")).merge(), RuntimeError, "cannot be merged"),
    "static cache": (with_static_cache, ValueError, "StaticCache", "DynamicCache"),
    "cache made without the method": (with_a_foreign_cache, ValueError, "past_key_values", "empty"),
    "prefix and gradient checkpointing": (
        prefix_with_checkpointing, RuntimeError, "gradient checkpointing", "disable"),
    "method of another base": (of_another_base, ValueError, "fingerprint", "any_base=True"),
    "damaged method": (damaged_method, ValueError, "method.safetensors", "damaged"),
    "method of another kind": (of_another_kind, TypeError, "PromptTuning", "PrefixTuning"),
    "method of another library": (foreign_method, FileNotFoundError, "adapter_config.json", "peft"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")
@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named(case, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("PEFT_LAB_DATA", str(tmp_path / "data"))
    folder = tmp_path / "work"
    folder.mkdir()
    action, error, *texts = CASES[case]
    with pytest.raises(error) as caught:
        action(folder)
    assert type(caught.value) is error
    missing = [text for text in texts if not re.search(re.escape(text), str(caught.value))]
    assert not missing, f"{missing} not in: {caught.value}"


def test_the_data_folder_of_the_environment_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PEFT_LAB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="PEFT_LAB_DATA.*nowhere.*unset"):
        data_dir()


def test_every_error_is_another_one(tmp_path):
    assert len(CASES) >= 30
    named = [json.dumps([str(error), *texts]) for _, error, *texts in CASES.values()]
    assert len(set(named)) == len(CASES)


def test_known_bases_are_listed(tmp_path, monkeypatch):
    save_toy_base(tmp_path, "storyteller-nano")
    monkeypatch.setenv("PEFT_LAB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="the course has: storyteller-nano"):
        load_base("storyteller-giant")
