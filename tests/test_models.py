import pytest
import torch
from toy import BOS, EOS, PAD, save_toy_base, toy_model, toy_tokenizer

import peft_lab
from peft_lab.models import _find, fingerprint, generate_text, known_bases, load_base, mode
from peft_lab.randomness import random_state_kept


@pytest.fixture(scope="module")
def base():
    return toy_model(), toy_tokenizer()


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("PEFT_LAB_DATA", str(tmp_path))
    return tmp_path


def test_load_base_gives_a_frozen_float32_model_in_eval_mode(data):
    save_toy_base(data)
    model, tokenizer = load_base("storyteller-micro")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        BOS,
        EOS,
        PAD,
    )
    assert tokenizer.padding_side == "left"
    half = toy_model().half().model.embed_tokens.weight
    assert torch.equal(model.model.embed_tokens.weight, half.float())


def test_the_size_comes_from_the_environment(data, monkeypatch):
    save_toy_base(data, "storyteller-micro", seed=0)
    save_toy_base(data, "storyteller-nano", seed=1)
    assert known_bases() == ["storyteller-micro", "storyteller-nano"]
    assert fingerprint(load_base()[0]) == fingerprint(load_base("storyteller-micro")[0])
    monkeypatch.setenv("PEFT_LAB_SIZE", "nano")
    assert fingerprint(load_base()[0]) == fingerprint(load_base("storyteller-nano")[0])


def test_a_folder_of_ones_own_loads_too_and_gets_the_tokens_it_lacks(tmp_path):
    toy_model(pad_token_id=None).save_pretrained(tmp_path)
    tokenizer = toy_tokenizer().__class__(tokenizer_object=toy_tokenizer().backend_tokenizer)
    tokenizer.eos_token = "<eos>"
    tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load_base(tmp_path)
    assert tokenizer.bos_token == tokenizer.pad_token == "<eos>"
    assert model.config.pad_token_id == EOS


def test_loading_prints_nothing(data, capfd):
    save_toy_base(data)
    capfd.readouterr()
    load_base()
    assert capfd.readouterr() == ("", "")


def test_fingerprint_is_the_same_in_every_precision(data):
    save_toy_base(data)
    prints = {
        fingerprint(load_base(dtype=dtype)[0])
        for dtype in (torch.float32, torch.float16, torch.bfloat16)
    }
    assert len(prints) == 1
    (only,) = prints
    assert len(only) == 16 and int(only, 16) >= 0


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"num_hidden_layers": 2}, {"intermediate_size": 40}, {"mlp_bias": False}],
    ids=str,
)
def test_fingerprint_tells_another_base(other):
    first = toy_model()
    second = toy_model(**other)
    if "seed" not in other:  # the same embeddings: names and shapes must tell
        second.model.embed_tokens.weight.data.copy_(first.model.embed_tokens.weight)
    assert fingerprint(first) != fingerprint(second)


def test_greedy_generation_equals_the_naive_loop(base):
    model, tokenizer = base
    text = generate_text(model, tokenizer, "the fox", temperature=0, max_new_tokens=12)
    ids = [BOS, *tokenizer("the fox", add_special_tokens=False)["input_ids"]]
    new = []
    while len(new) < 12 and EOS not in new:
        logits = model(torch.tensor([ids + new])).logits  # (1, T, V)
        new.append(int(logits[0, -1].argmax()))
    assert text == tokenizer.decode(new, skip_special_tokens=True)


def test_sampling_is_seeded_and_leaves_the_random_state_alone(base):
    model, tokenizer = base
    before = torch.get_rng_state()
    texts = [
        generate_text(model, tokenizer, "the", seed=seed, max_new_tokens=20) for seed in (3, 3, 4)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(before, torch.get_rng_state())


def test_generation_leaves_the_training_flags_alone(base):
    model, tokenizer = base
    with mode(False, model):
        model.model.layers[1].train()
        flags = [part.training for part in model.modules()]
        generate_text(model, tokenizer, max_new_tokens=2)
        assert [part.training for part in model.modules()] == flags


def test_generation_happens_in_eval_mode():
    model = toy_model(attention_dropout=0.5).train()
    texts = {generate_text(model, toy_tokenizer(), temperature=0, max_new_tokens=8)}
    texts |= {generate_text(model.eval(), toy_tokenizer(), temperature=0, max_new_tokens=8)}
    assert len(texts) == 1


def test_n_texts_are_a_list_and_one_is_a_string(base):
    model, tokenizer = base
    assert isinstance(generate_text(model, tokenizer, max_new_tokens=3), str)
    texts = generate_text(model, tokenizer, max_new_tokens=10, n=3)
    assert len(texts) == 3 and len(set(texts)) > 1


def test_generation_stops_at_eos(base):
    model, tokenizer = base
    steps = []

    def second_token_is_eos(head, args, logits):
        steps.append(len(steps))
        logits = logits.clone()
        logits[..., EOS if len(steps) == 2 else 50] += 1000
        return logits

    handle = model.lm_head.register_forward_hook(second_token_is_eos)
    try:
        assert generate_text(model, tokenizer, "the fox") == tokenizer.decode([50])
    finally:
        handle.remove()


def test_the_package_names_its_models_in_the_error(data):
    save_toy_base(data)
    with pytest.raises(ValueError, match="storyteller-huge.*storyteller-micro"):
        peft_lab.load_base("storyteller-huge")


def test_generating_on_the_cpu_leaves_other_devices_alone(base, monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    generate_text(*base, "the", max_new_tokens=2)
    assert not seeded


def test_the_state_of_every_gpu_in_use_is_kept(monkeypatch):
    states, put_back = [torch.tensor([1]), torch.tensor([2])], {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device: put_back.update({device: state})
    )
    with random_state_kept(torch.device("cpu")):
        pass
    assert put_back == {0: states[0], 1: states[1]}


def test_greedy_is_plain_whatever_the_models_own_settings():
    model, tokenizer = toy_model(), toy_tokenizer()
    plain = generate_text(model, tokenizer, "the fox", temperature=0, max_new_tokens=30)
    for name, value in (("repetition_penalty", 5.0), ("num_beams", 4)):
        own = toy_model()
        setattr(own.generation_config, name, value)
        assert generate_text(own, tokenizer, "the fox", temperature=0, max_new_tokens=30) == plain


def test_a_prompt_that_fills_the_context_is_named(base):
    with pytest.raises(ValueError, match=r"prompt is too long: .*context is 128"):
        generate_text(*base, "the fox " * 200)


@pytest.mark.parametrize("size", ["Nano", "", "storyteller-nano"])
def test_a_wrong_size_in_the_environment_is_named(data, monkeypatch, size):
    save_toy_base(data, "storyteller-nano")
    save_toy_base(data)
    monkeypatch.setenv("PEFT_LAB_SIZE", size)
    with pytest.raises(ValueError, match=rf"PEFT_LAB_SIZE.*'{size}'.*micro, nano"):
        load_base()


def test_an_id_of_the_hub_may_begin_as_the_courses_models_do(data):
    assert _find("storyteller-x/abc") == ("storyteller-x/abc", False)
