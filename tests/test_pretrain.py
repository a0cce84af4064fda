"""tools/: the 5-gram rival, the windows, the order of the steps, the optimiser."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import pretrain  # noqa: E402
from muon import Muon, orthogonalise  # noqa: E402
from ngram import NGram, pack  # noqa: E402

from peft_lab import data_dir, known_bases  # noqa: E402


@pytest.fixture
def stream():
    rng = np.random.default_rng(0)
    return rng.choice(12, size=4000, p=rng.dirichlet(np.ones(12))).astype(np.uint16)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngram_probabilities_sum_to_one(stream, order):
    model = NGram(stream, order=order, vocabulary=12)
    history = stream[100 : 100 + order - 1]
    total = sum(
        np.exp(model.logprob(np.append(history, np.uint16(t)).astype(np.uint16))[-1])
        for t in range(12)
    )
    assert abs(total - 1) < 1e-12


def test_ngram_bigram_by_hand():
    """a b a b a c: p(b | a) by interpolated Kneser-Ney, worked out on paper."""
    a, b, c = 0, 1, 2
    model = NGram(np.array([a, b, a, b, a, c], dtype=np.uint16), order=2, vocabulary=3)
    # bigrams ab 2, ba 2, ac 1: n1 = 1, n2 = 2, D = 1/5. Unigram counts: a 1, b 1, c 1 places,
    # n1 = 3, n2 = 0, D = 1: all mass goes to the uniform 1/3.
    expected = (2 - 0.2) / 3 + 0.2 * 2 / 3 * (1 / 3)
    assert np.exp(model.logprob(np.array([a, b]))[0]) == pytest.approx(expected, abs=1e-12)


def test_ngram_refuses_what_does_not_fit(stream):
    with pytest.raises(ValueError, match="vocabulary=5000"):
        NGram(stream, vocabulary=5000)
    with pytest.raises(ValueError, match="n=6"):
        pack(stream, 6)


def test_windows_begin_with_bos_and_lose_no_token():
    bos, eos = 1, 2
    documents = [np.arange(3, 3 + n) for n in (5, 40, 2, 17)]
    stream = np.concatenate([[bos, *d, eos] for d in documents])
    rows = pretrain.windows(stream, 8, bos)
    assert (rows[:, 0] == bos).all()
    text = [t for t in rows.flatten() if t != bos]
    wanted = [t for t in stream if t != bos]
    assert text == wanted[: len(text)] and len(wanted) - len(text) < 8


@pytest.fixture
def run_folder(tmp_path):
    rng = np.random.default_rng(1)
    for name, documents in (("books", 60), ("simple", 30)):
        parts = [
            [1, *rng.integers(3, 4096, size=rng.integers(100, 900)), 2] for _ in range(documents)
        ]
        np.save(tmp_path / f"{name}.npy", np.concatenate(parts).astype(np.uint16))
    return tmp_path


def test_plan_is_a_function_of_the_step(run_folder):
    one, two = pretrain.Plan(run_folder), pretrain.Plan(run_folder)
    late = two.batch(9)
    for step in range(10):
        batch = one.batch(step)
        assert batch.numel() == pretrain.TOKENS_A_STEP
        assert batch.shape[1] == (512 if step % 4 == 3 else 256)
        assert (batch[:, 0] == 1).all()
    assert torch.equal(batch, late)


def test_with_verse_every_twentieth_window_is_verse_and_the_others_stay(run_folder):
    stories = pretrain.Plan(run_folder)
    verse = np.full(20_000, 4000, dtype=np.uint16)  # <bos> and then one word over and over
    verse[0] = 1
    np.save(run_folder / "verse.npy", verse)
    with_verse = pretrain.Plan(run_folder, verse=True)
    changed = {256: [], 512: []}
    for step in range(80):
        before, after = stories.batch(step), with_verse.batch(step)
        changed[before.shape[1]] += (before != after).any(1).tolist()
        is_verse = (after[:, 1:] == 4000).all(1)
        assert is_verse.tolist() == (before != after).any(1).tolist()
    for length, places in changed.items():
        assert [i for i, new in enumerate(places) if new] == [*range(19, len(places), 20)], length


def test_plan_sees_every_window_once_before_any_twice(run_folder):
    plan = pretrain.Plan(run_folder)
    pool = plan.pools[256, "books"]
    steps = [s for s in range(40) if s % 4 != 3][: len(pool) // 6]
    seen = [tuple(row.tolist()) for s in steps for row in plan.batch(s)[2:]]
    assert len(set(seen)) == len(seen)


def test_every_size_beats_xz_and_each_is_better_than_the_one_before():
    """What data/models/results.json says was seen by `tools/pretrain.py --evaluate`."""
    rows = json.loads((data_dir() / "models" / "results.json").read_text())
    bits = {
        name: rows[name]["bits_per_byte"]
        for name in ("xz", "5-gram", "nano", "micro", "small", "base")
    }
    assert bits["xz"] > bits["nano"] > bits["micro"] > bits["small"] > bits["base"]
    assert bits["5-gram"] > bits["small"]
    assert {name for name in rows if "parameters" in rows[name]} == {
        base.removeprefix("storyteller-") for base in known_bases()
    }
    steps = {rows[name]["steps"] for name in ("nano", "micro", "small", "base")}
    assert len(steps) == 1  # size is the only difference


def test_schedule_warms_up_and_ends_at_zero():
    shares = [pretrain.schedule(s, 1000) for s in range(1000)]
    assert shares[0] == 0.01 and max(shares) == 1.0 and shares[-1] == pytest.approx(1 / 900)


def test_orthogonalise_brings_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((3, 16, 40), (2, 40, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert 0.5 < values.min() and values.max() < 1.4


def test_muon_step_is_one_spectral_step():
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(24, 48))
    before = p.detach().clone()
    p.grad = torch.randn(24, 48)
    Muon([p], lr=0.1).step()
    values = torch.linalg.svdvals(before - p.detach())
    assert 0.05 < values.min() and values.max() < 0.14
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.randn(3))])


def test_checkpoint_resumes_bitwise(tmp_path):
    def step(model, opts, seed):
        ids = torch.randint(3, 4096, (2, 16), generator=torch.Generator().manual_seed(seed))
        model(input_ids=ids, labels=ids).loss.backward()
        for opt in opts:
            opt.step()
            opt.zero_grad()

    def fresh():
        model = pretrain.new_model("nano")
        return model, pretrain.optimisers(model, 1.0)

    model, opts = fresh()
    for seed in range(2):
        step(model, opts, seed)
    pretrain.checkpoint(tmp_path / "c.safetensors", model, opts, 2, [{"step": 2}])
    step(model, opts, 2)
    again, again_opts = fresh()
    assert pretrain.resume(tmp_path / "c.safetensors", again, again_opts) == (2, [{"step": 2}])
    step(again, again_opts, 2)
    for (name, p), q in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q), name
