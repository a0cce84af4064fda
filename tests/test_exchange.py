"""Files to and from Hugging Face `peft`: the same logits on both sides, in float64, to 1e-10.

Each mutant puts a mistake into the code, and what is compared must then differ.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_ladder import likeliest
from tiny import ARCHITECTURES, L, config, fill, nll, tiny, tokens

from peft_lab import exchange
from peft_lab.anatomy import FAMILIES, Anatomy
from peft_lab.exchange import CONFIG, TENSORS, from_peft, to_peft
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
    UniPELT,
)

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")  # peft warns of much that is meant
N, CLOSE = 5, 1e-10
_TASK = {"task_type": "CAUSAL_LM", "num_virtual_tokens": N}
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def _paths(architecture: str, roles: str) -> list[str]:
    """What peft calls the linear layers of these roles: the ends of their names."""
    known = FAMILIES[config(architecture).model_type].linears
    found = [known.get(role, known.get("qkv")) for role in roles.split()]
    return list(dict.fromkeys(found))


def _dropped(method: Method):
    """Without its encoder or MLP, once it is attached."""
    getattr(method, "drop_mlp" if isinstance(method, PrefixTuning) else "drop_encoder")()


OURS = {
    "prompt": lambda: PromptTuning(N),
    "prefix": lambda: PrefixTuning(N),
    "prefix, some trained": lambda: PrefixTuning(N, trainable=[1]),
    "prefix, mlp": lambda: PrefixTuning(N, mlp=6),
    "prefix, mlp dropped": lambda: PrefixTuning(N, mlp=6),
    "p-tuning": lambda: PTuning(N, 6),
    "p-tuning, encoder dropped": lambda: PTuning(N, 6),
    "p-tuning, lstm": lambda: PTuning(N, 6, encoder="lstm"),
    "lora": lambda: LoRA(3, alpha=7),
    "lora, rank-stabilised": lambda: LoRA(3, alpha=7, rank_stabilised=True),
    "lora, two layers": lambda: LoRA(2, alpha=5, targets="all", layers=(0, 2)),
    "lora, unlike ranks": lambda: LoRA(2, 5, ("q", "k", "v", "o"), rank_stabilised=True),
    "lora, head": lambda: LoRA(2, targets=("o", "head")),
    "dora": lambda: LoRA(2, alpha=6, targets=("v", "down"), dora=True),
    "ia3": lambda: IA3(),
    "ia3, one layer": lambda: IA3(layers=[1], feed_forward=False),
}
THEIRS = {  # name -> peft's config for an architecture
    "prompt": lambda a: peft.PromptTuningConfig(**_TASK),
    "prefix": lambda a: peft.PrefixTuningConfig(**_TASK),
    "prefix, mlp": lambda a: peft.PrefixTuningConfig(
        **_TASK, prefix_projection=True, encoder_hidden_size=6
    ),
    "p-tuning": lambda a: peft.PromptEncoderConfig(**_TASK, encoder_hidden_size=6),
    "p-tuning, lstm": lambda a: peft.PromptEncoderConfig(
        **_TASK, encoder_reparameterization_type="LSTM", encoder_hidden_size=6
    ),
    "lora": lambda a: peft.LoraConfig(
        r=3, lora_alpha=7, lora_dropout=0.1, target_modules=_paths(a, "q v")
    ),
    "lora, another start": lambda a: peft.LoraConfig(
        r=3, init_lora_weights="gaussian", target_modules=_paths(a, "o")
    ),
    "lora, two layers": lambda a: peft.LoraConfig(
        r=2,
        lora_alpha=5,
        use_rslora=True,
        task_type="CAUSAL_LM",
        target_modules=_paths(a, "q k v o up down"),
        layers_to_transform=[0, 2],
    ),
    "lora, a pattern": lambda a: peft.LoraConfig(
        r=3, target_modules=rf".*\.[02]\.({'|'.join(_paths(a, 'v down'))})"
    ),
    "lora, unlike ranks": lambda a: peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=_paths(a, "q o down"),
        rank_pattern={_paths(a, "o")[0]: 2, rf"1\.{_paths(a, 'down')[0]}": 5},
        alpha_pattern={_paths(a, "o")[0]: 9},
    ),
    "lora, head": lambda a: peft.LoraConfig(r=2, target_modules=["lm_head", *_paths(a, "o")]),
    "dora": lambda a: peft.LoraConfig(
        r=2, lora_alpha=6, use_dora=True, target_modules=_paths(a, "q v down")
    ),
    "ia3": lambda a: peft.IA3Config(
        target_modules=_paths(a, "k v down"), feedforward_modules=_paths(a, "down")
    ),
    "ia3, attention": lambda a: peft.IA3Config(
        target_modules=_paths(a, "k v"), feedforward_modules=[]
    ),
}


def write(name: str, architecture: str, folder):
    """Write a method with random numbers; its logits, and a generation of it."""
    model, method = tiny(architecture), OURS[name]()
    with method.attach(model):
        fill(method)
        if name.endswith("dropped"):
            _dropped(method)
        to_peft(method, folder)
        return measured(model)


def measured(model) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the tokens (2, 7, V), and the ids that a greedy generation gives."""
    ids = tokens()
    mask = torch.ones_like(ids)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, -ids.shape[1] :]
        if isinstance(model, peft.PeftModel) and model.active_peft_config.is_prompt_learning:
            return logits, likeliest(model, ids, mask, 6)  # peft's own generate loses its prompt
        told = {"attention_mask": mask, "do_sample": False, "pad_token_id": 2}
        return logits, model.generate(input_ids=ids, **told, max_new_tokens=6)


def read_by_peft(architecture: str, folder):
    """As anybody would, and once more in float64: peft makes prompts in float32."""
    theirs = peft.PeftModel.from_pretrained(tiny(architecture), folder).double().eval()
    stored = peft.load_peft_weights(str(folder))
    lost = peft.set_peft_model_state_dict(theirs, stored).unexpected_keys
    assert lost in ([], ["prompt_embeddings"])  # peft's own word for what it has read
    return theirs


def save_by_peft(name: str, architecture: str, folder, **told):
    """Save a peft model with random numbers; what it gives."""
    theirs = peft.get_peft_model(tiny(architecture), THEIRS[name](architecture)).double().eval()
    trained = [p for p in theirs.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in trained:
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    theirs.save_pretrained(folder, **told)
    return measured(theirs)


def agree(ours, theirs) -> None:
    assert ours[0].shape == theirs[0].shape
    assert (ours[0] - theirs[0]).abs().max() <= CLOSE, f"{(ours[0] - theirs[0]).abs().max():.1e}"
    assert torch.equal(ours[1], theirs[1]), "generation"


def export(name: str, architecture: str, folder) -> None:
    ours = write(name, architecture, folder)
    agree(ours, measured(read_by_peft(architecture, folder)))


def read(architecture: str, folder, method=None):
    model = tiny(architecture)
    with (method or from_peft(folder, model)).attach(model):
        return measured(model)


@every_architecture
@pytest.mark.parametrize("name", OURS)
def test_peft_reads_what_is_written_here(name, architecture, tmp_path):
    export(name, architecture, tmp_path)


@every_architecture
@pytest.mark.parametrize("name", OURS)
def test_so_do_we(name, architecture, tmp_path):
    agree(write(name, architecture, tmp_path), read(architecture, tmp_path))


@every_architecture
@pytest.mark.parametrize("name", [name for name in THEIRS if name != "lora, head"])
def test_what_peft_saved_is_read_here(name, architecture, tmp_path):
    theirs = save_by_peft(name, architecture, tmp_path)
    if name.startswith("ia3") and architecture == "neox":  # scaled queries, rotated afterwards
        with pytest.raises(ValueError, match="query_key_value has its queries scaled"):
            from_peft(tmp_path, tiny("neox"))
        return
    agree(read(architecture, tmp_path), theirs)


# Mistakes in what is written: peft must give something else, or refuse it.


def _kv_swapped(config, tensors):
    flat = tensors["prompt_embeddings"]  # (N, L * 2 * d_kv)
    tensors["prompt_embeddings"] = flat.view(N, L, 2, -1).flip(2).reshape(flat.shape)


def _layers_swapped(config, tensors):
    flat = tensors["prompt_embeddings"]
    tensors["prompt_embeddings"] = flat.view(N, L, -1).flip(1).reshape(flat.shape)


def _of(end: str, change):
    """A change of each tensor whose name ends so."""

    def mistake(config, tensors):
        for name in tensors:
            if name.endswith(end):
                tensors[name] = change(tensors[name]).contiguous()

    return mistake


def _told(**fields):
    return lambda config, tensors: config.update(fields)


def _lost(end: str):
    def mistake(config, tensors):
        for name in [name for name in tensors if name.endswith(end)]:
            del tensors[name]

    return mistake


MISTAKES = {
    "no task type": ("prompt", "llama", _told(task_type=None)),
    "order of a prompt": ("prompt", "opt", _of("embeddings", lambda t: t.flip(0))),
    "keys for values": ("prefix", "llama", _kv_swapped),
    "first layer last": ("prefix", "gpt2", _layers_swapped),
    "an encoder's input": ("p-tuning", "llama", _of("embeddings", lambda t: t + 0.01)),
    "no scale": ("lora", "gpt2", _told(lora_alpha=6)),
    "scale of one pair": ("lora", "gpt2", _told(lora_alpha=7)),
    "A for B": ("lora", "llama", _of("q_proj.lora_B.weight", lambda t: t.T.reshape(t.shape))),
    "B in the rows of others": ("lora", "neox", _of("B.weight", lambda t: t.roll(8, 0))),
    "pairs crossed": ("lora", "gpt2", _of("A.weight", lambda t: t.roll(3, 0))),
    "not stabilised": ("lora, rank-stabilised", "llama", _told(use_rslora=False)),
    "ranks forgotten": ("lora, unlike ranks", "gpt2", _told(rank_pattern={})),
    "their scales forgotten": ("lora, unlike ranks", "gpt2", _told(alpha_pattern={})),
    "a layer forgotten": ("lora, two layers", "opt", _lost("2.fc1.lora_B.weight")),
    "layer 0 only": (
        "lora, two layers",
        "llama",
        lambda c, t: c.update(target_modules=[n for n in c["target_modules"] if ".0." in n]),
    ),
    "wrong name": (
        "lora",
        "llama",
        lambda c, t: [t.update({n.replace("base_model.model.", ""): t.pop(n)}) for n in list(t)],
    ),
    "direction without length": ("dora", "llama", _told(use_dora=False)),
    "lengths of 1 for the rest": ("dora", "gpt2", _of("vector", lambda t: t * 0 + 1)),
    "scales in the rows of others": ("ia3", "gpt2", _of("attn.ia3_l", lambda t: t.roll(32, 0))),
    "k and v swapped": (
        "ia3",
        "neox",
        _of("value.ia3_l", lambda t: t.view(4, 3, 8)[:, [0, 2, 1]].reshape(t.shape)),
    ),
    "outputs of feed-forward": ("ia3", "llama", _told(feedforward_modules=[])),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen_by_what_is_compared(mistake, tmp_path, monkeypatch):
    name, architecture, change = MISTAKES[mistake]
    right = exchange.put

    def wrong(folder, files):
        right(folder, files)
        changed(folder, change)

    monkeypatch.setattr(exchange, "put", wrong)
    with pytest.raises((AssertionError, RuntimeError, KeyError)):
        export(name, architecture, tmp_path)


def changed(folder, change) -> None:
    """Change the files in a folder."""
    told, tensors = json.loads((folder / CONFIG).read_text()), load_file(folder / TENSORS)
    change(told, tensors)
    (folder / CONFIG).write_text(json.dumps(told))
    save_file(tensors, folder / TENSORS)


# What is read is an ordinary method


def test_pairs_of_a_fused_layer_come_back_though_they_are_wider_together(tmp_path):
    """Rank 11 each for q, k and v of width 32 is 33 for the layer that holds them."""
    model, ids = tiny("gpt2"), tokens()
    with LoRA(11, targets=("q", "k", "v")).attach(model) as lora:
        fill(lora)
        logits = model(ids).logits
        to_peft(lora, tmp_path)
    with from_peft(tmp_path).attach(model):
        assert (model(ids).logits - logits).abs().max() < CLOSE
    with pytest.raises(ValueError, match="rank: 33 is above the width"):
        LoRA(33, targets="qkv").attach(model)


def test_the_settings_of_a_lora_are_those_that_one_would_write(tmp_path):
    expected = {
        "lora": (3, 7.0, ["q", "v"], None),
        "lora, two layers": (2, 5.0, ["q", "k", "v", "o", "gate", "up", "down"], [0, 2]),
        "lora, head": (2, 2.0, [f"model.layers.{i}.self_attn.o_proj" for i in range(L)], None),
    }
    for name, (rank, alpha, targets, layers) in expected.items():
        write(name, "llama", tmp_path)
        method = from_peft(tmp_path)
        assert (method.rank, method.alpha, method.layers) == (rank, alpha, layers)
        assert {*method.targets} == {*targets, *(["lm_head"] if "head" in name else [])}
        assert method.num_parameters() == method.expected_parameters(config("llama"))
    written = json.loads((tmp_path / CONFIG).read_text())
    assert written["target_modules"] == ["lm_head", "self_attn.o_proj"]
    write("lora, two layers", "opt", tmp_path)
    written = json.loads((tmp_path / CONFIG).read_text())
    assert len(written["target_modules"]) == 12  # two layers' names in full


def test_it_can_be_trained_composed_saved_and_merged(tmp_path):
    for name in ("prompt", "lora, unlike ranks"):
        write(name, "gpt2", tmp_path / name)
    prompt, lora = (from_peft(tmp_path / name) for name in ("prompt", "lora, unlike ranks"))
    model, ids = tiny("gpt2"), tokens()
    base = Anatomy(model).fingerprint
    with Compose([prompt, lora]).attach(model) as both:
        nll(model, ids).backward()
        assert lora.rank == 6
        for parameter in lora.B.values():  # columns of zeros learn too
            assert parameter.grad.abs().sum(0).min() > 0
        assert prompt.embeddings.grad.abs().min() > 0
        with torch.no_grad():
            for parameter in both.parameters():
                parameter -= 0.1 * parameter.grad
        trained = measured(model)
        both.save(tmp_path / "both")
    assert prompt._base == lora._base == base  # of the first attach
    with Method.load(tmp_path / "both").attach(model):
        agree(measured(model), trained)
    with lora.attach(model):
        alone = measured(model)
        lora.merge()
        agree(measured(model), alone)
    with pytest.raises(ValueError, match="fingerprint"):
        lora.attach(tiny("gpt2", seed=1))


def test_queries_are_folded_into_keys_where_heads_must_be_told(tmp_path):
    write("ia3", "gpt2", tmp_path)  # BLOOM: no rotary positions, rows by heads
    theirs = peft.get_peft_model(
        tiny("bloom"),
        peft.IA3Config(
            target_modules=["query_key_value", "dense_4h_to_h"],
            feedforward_modules=["dense_4h_to_h"],
        ),
    ).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                fill(torch.nn.ParameterList([parameter]))
    theirs.eval().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model: .*go by heads.*model=..."):
        from_peft(tmp_path)
    agree(read("bloom", tmp_path), measured(theirs))


def test_a_head_is_read_without_the_base_s_own_weights(tmp_path):
    save_by_peft("lora, head", "llama", tmp_path)  # peft adds the embeddings, as it is tied to them
    with pytest.raises(ValueError, match="nothing else .*save_embedding_layers=False"):
        from_peft(tmp_path)
    theirs = save_by_peft("lora, head", "llama", tmp_path, save_embedding_layers=False)
    agree(read("llama", tmp_path), theirs)


def test_files_of_another_depth_do_not_fit(tmp_path):
    for name in ("prefix", "lora", "ia3"):
        write(name, "llama", tmp_path)
        with pytest.raises(ValueError, match="does not fit this model"):
            from_peft(tmp_path).attach(tiny("llama", num_hidden_layers=L + 1))


def test_base_name_and_files(tmp_path):
    with PromptTuning(2).attach(tiny("llama")) as prompt:
        to_peft(prompt, tmp_path / "a" / "b", base_name="someone/model")
    folder = tmp_path / "a" / "b"
    assert json.loads((folder / CONFIG).read_text())["base_model_name_or_path"] == "someone/model"
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, TENSORS]


def test_peft_is_not_imported():
    source = Path(exchange.__file__).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from)\s+peft\b", source, re.MULTILINE)


# Errors


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folders of good files, by name, for tiny Llama; of "gpt2" one for GPT-2."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("prompt", "prefix", "lora", "dora", "ia3"):
        write(name, "llama", folder / name)
    return folder


def _renamed(old: str, new: str):
    def change(config, tensors):
        for name in [name for name in tensors if old in name]:
            tensors[name.replace(old, new)] = tensors.pop(name)

    return change


BAD_FILES = {  # what is wrong: (of which good file, the change, what the error must say)
    "prompt without a task type": (
        "prompt", _told(task_type=None), ("task_type: None", "CAUSAL_LM", "does not apply")),
    "classifier": ("lora", _told(task_type="SEQ_CLS"), ("task_type: 'SEQ_CLS'", "CAUSAL_LM")),
    "no peft_type": ("lora", lambda c, t: c.pop("peft_type"), ("lacks peft_type",)),
    "another method": (
        "lora", _told(peft_type="ADALORA"), ("peft_type: 'ADALORA'", "LORA", "PREFIX_TUNING")),
    "biases": ("lora", _told(bias="lora_only"), ("bias: 'lora_only'", "not supported")),
    "modules_to_save": (
        "prompt", _told(modules_to_save=["lm_head"]), ("modules_to_save: ['lm_head']",)),
    "layers repeated": ("lora", _told(layer_replication=[[0, 2]]), ("layer_replication",)),
    "activated LoRA": (
        "lora", _told(alora_invocation_tokens=[5]), ("alora_invocation_tokens: [5]",)),
    "exclusions": ("lora", _told(exclude_modules="x"), ("exclude_modules: 'x'",)),
    "field of a later peft": ("ia3", _told(use_magic=True), ("use_magic: True", "not supported")),
    "a start that moves the base": (
        "lora", _told(init_lora_weights="pissa"), ("init_lora_weights: 'pissa'", "base")),
    "no rank": ("lora", lambda c, t: c.pop("r"), ("lacks r,",)),
    "rank of another file": ("lora", _told(r=4), ("r: 4", "(3, 32)", "(4, in)")),
    "pattern that says another rank": (
        "lora", _told(rank_pattern={"v_proj": 2}), ("r: 2", "v_proj", "(2, in)")),
    "rank that is a text": ("lora", _told(r="3"), ("r: 3", "(3, in)")),
    "alpha that is a text": ("lora", _told(lora_alpha="x"), (CONFIG, "damaged")),
    "alpha of 0": ("lora", _told(lora_alpha=-1), ("alpha", "above 0", "-1")),
    "broken pattern": ("lora", _told(rank_pattern={"(": 2}), (CONFIG, "damaged")),
    "targets that are a number": ("lora", _told(target_modules=7), (CONFIG, "damaged")),
    "no targets": ("lora", _told(target_modules=None), ("lacks target_modules",)),
    "one target too few": (
        "lora", _told(target_modules=["q_proj"]), ("target_modules", "v_proj", "only in one")),
    "one target too many": (
        "lora", _told(target_modules=["q_proj", "v_proj", "up_proj"]),
        ("target_modules", "mlp.up_proj", "only in one")),
    "target of no model": (
        "lora", _told(target_modules=["q_proj", "v_proj", "c_attn"]), ("c_attn", "only in one")),
    "pattern that fits nothing": (
        "lora", _told(target_modules="q_proj"), ("'q_proj'", "only in one")),
    "layers that are not in the file": (
        "lora", _told(layers_to_transform=[0, 1, 2, 5]), ("layers.5", "only in one")),
    "a layer lost": ("lora", _lost("1.self_attn.q_proj.lora_A.weight"), ("lacks", "lora_A")),
    "a pair lost": (
        "lora", lambda c, t: [t.pop(n) for n in list(t) if "1.self_attn.q_proj" in n],
        ("layers.1.self_attn.q_proj", "only in one")),
    "names without a start": (
        "lora", _renamed("base_model.model.", ""), ("model.layers.0", "base_model.model.NAME")),
    "names with the adapter's": (
        "lora", _renamed("lora_A.weight", "lora_A.default.weight"), ("default", "NAME")),
    "a base layer beside it": (
        "lora", lambda c, t: t.update({"base_model.model.lm_head.weight": torch.zeros(2, 2)}),
        ("lm_head.weight", "save_embedding_layers=False")),
    "modules of no known family": (
        "lora", _renamed(".self_attn.", ".mixer."), ("mixer.q_proj", "known here", "llama")),
    "modules of a tower": (
        "lora", _renamed(".model.layers", ".vision.model.layers"), ("vision.model", "known here")),
    "nothing in it": ("lora", lambda c, t: t.clear(), ("holds nothing",)),
    "no lengths": ("dora", _lost("vector"), ("lacks", "lora_magnitude_vector")),
    "lengths of no DoRA": ("dora", _told(use_dora=False), ("lora_magnitude_vector",)),
    "prompt of another length": (
        "prompt", _told(num_virtual_tokens=6), ("(5, 32)", "num_virtual_tokens", "(6, 32)")),
    "prompt of another width": ("prompt", _told(token_dim=64), ("(5, 32)", "(5, 64)")),
    "prompt of no length": (
        "prompt", _told(num_virtual_tokens=None), ("lacks num_virtual_tokens",)),
    "prompt under another name": (
        "prompt", _renamed("prompt_embeddings", "prompt"), ("embeddings alone", "['prompt']")),
    "LoRA said to be a prompt": (
        "lora", _told(peft_type="PROMPT_TUNING"), ("prompt_embeddings alone", "lora_A")),
    "prefix of an unknown shape": ("prefix", _told(num_layers=None), ("lacks num_layers",)),
    "prefix of another depth": ("prefix", _told(num_layers=4), ("(5, 96)", "(5, 128)")),
    "heads that do not divide": ("prefix", _told(num_attention_heads=5), (CONFIG, "damaged")),
    "IA3 of outputs": (
        "ia3", _of("down_proj.ia3_l", lambda t: t.T), ("(48, 1)", "(1, in)", "down_proj")),
    "IA3 of queries": (
        "ia3", lambda c, t: (
            [t.update({n.replace("k_proj", "q_proj"): t[n].clone()}) for n in list(t)],
            c["target_modules"].append("q_proj")),
        ("target_modules", "q_proj", "keys and values")),
    "IA3 of keys alone": (
        "ia3", lambda c, t: (
            [t.pop(n) for n in list(t) if "v_proj" in n],
            c["target_modules"].remove("self_attn.v_proj")),
        ("target_modules", "k_proj", "keys and values")),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_named(case, files, tmp_path):
    name, change, texts = BAD_FILES[case]
    shutil.copytree(files / name, tmp_path / "bad")
    from_peft(tmp_path / "bad")  # good so far
    changed(tmp_path / "bad", change)
    with pytest.raises(ValueError) as caught:
        from_peft(tmp_path / "bad")
    missing = [text for text in ("bad", *texts) if text not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


def _cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE = {
    "tensors cut off": (lambda f: _cut(f / TENSORS), ValueError, "damaged or truncated"),
    "no tensors": (lambda f: (f / TENSORS).write_bytes(b""), ValueError, "damaged or truncated"),
    "config cut off": (lambda f: _cut(f / CONFIG), ValueError, "no JSON"),
    "config of no fields": (lambda f: (f / CONFIG).write_text("[1]"), ValueError, "no fields"),
    "config not there": (lambda f: (f / CONFIG).unlink(), FileNotFoundError, f"no {CONFIG}"),
    "a pickle": (
        lambda f: (f / TENSORS).rename(f / "adapter_model.bin"), FileNotFoundError, "pickle"),
    "our own file": (
        lambda f: ((f / CONFIG).unlink(), (f / "method.json").write_text("{}")),
        FileNotFoundError, "Method.load"),
    "nothing there": (lambda f: shutil.rmtree(f), FileNotFoundError, "holds no"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(case, files, tmp_path):
    damage, error, text = DAMAGE[case]
    shutil.copytree(files / "lora", tmp_path / "bad")
    damage(tmp_path / "bad")
    with pytest.raises(error, match=text):
        from_peft(tmp_path / "bad")


NOT_WRITTEN = {
    "adapter": (lambda: Adapter(4), TypeError, "method: Adapter has no counterpart.*LoRA.*save"),
    "bitfit": (BitFit, TypeError, "method: BitFit has no counterpart"),
    "composition": (
        lambda: Compose([PromptTuning(2), LoRA(2)]), TypeError, "Compose.*each member by itself"),
    "mam": (lambda: MAMAdapter(2, 4), TypeError, "method: MAMAdapter"),
    "unipelt": (lambda: UniPELT(2, 2, 4), TypeError, "method: UniPELT"),
    "gated": (lambda: LoRA(2, gated=True), ValueError, "method: gated=True"),
    "prefix in some layers": (
        lambda: PrefixTuning(2, layers=[0, 2]), ValueError, r"method: .*\[0, 2\].*all 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_WRITTEN)
def test_what_peft_does_not_have_is_not_written(case, tmp_path):
    make, error, text = NOT_WRITTEN[case]
    with make().attach(tiny("llama")) as method, pytest.raises(error, match=text):
        to_peft(method, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_what_is_attached_by_itself_is_written(tmp_path):
    member = LoRA(2)
    with pytest.raises(ValueError, match="method: this LoRA is not attached.*attach"):
        to_peft(member, tmp_path)
    with Compose([member]).attach(tiny("llama")), pytest.raises(ValueError, match="by itself"):
        to_peft(member, tmp_path)
