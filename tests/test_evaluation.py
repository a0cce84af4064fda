import contextlib
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from tiny import ARCHITECTURES, CONTEXT, tiny
from torch import nn
from toy import toy_examples, toy_model, toy_tokenizer

from peft_lab import evaluation
from peft_lab.evaluation import (
    accuracy,
    bag_of_words_baseline,
    classify,
    evaluate,
    evaluate_byte_places,
    forgetting,
    form_of_poem,
    longest_copied_run,
    majority_baseline,
    scored_nll,
    shuffled_lines,
    slot_recall,
)
from peft_lab.methods import BitFit, PrefixTuning
from peft_lab.models import generate_text
from peft_lab.tasks import Example, Row, Task, collate, encode
from peft_lab.text_measures import words


def reference_nll(model, batch):
    """The plain way: all logits, all shifted labels."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    labels = batch["labels"][:, 1:].reshape(-1)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels, reduction="sum")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scored_nll_equals_the_loss_over_all_logits(name):
    model, batch = tiny(name), collate(toy_examples(5), 0)
    nats, count = scored_nll(model, batch)
    assert count == int((batch["labels"][:, 1:] != -100).sum())
    assert nats.dtype == torch.float64
    torch.testing.assert_close(nats, reference_nll(model, batch), rtol=1e-13, atol=0)
    nats.backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_only_the_scored_logits_are_computed(name):
    model, batch, seen = tiny(name), collate(toy_examples(5), 0), []
    model.get_output_embeddings().register_forward_hook(lambda m, a, out: seen.append(out.shape))
    _, count = scored_nll(model, batch)
    assert seen == [(count, 97)]


def test_a_model_that_cannot_select_gives_the_same_loss():
    class Plain(nn.Module):
        """Takes no logits_to_keep."""

        def __init__(self):
            super().__init__()
            self.inner = tiny("llama")

        def forward(self, input_ids, attention_mask, use_cache=None):
            return self.inner(input_ids=input_ids, attention_mask=attention_mask)

    batch = collate(toy_examples(5), 0)
    nats, count = scored_nll(Plain(), batch)
    expected, expected_count = scored_nll(tiny("llama"), batch)
    torch.testing.assert_close(nats, expected, rtol=1e-13, atol=0)
    assert count == expected_count


def test_half_precision_logits_are_summed_in_float32():
    nats, _ = scored_nll(tiny("llama", dtype=torch.bfloat16), collate(toy_examples(5), 0))
    assert nats.dtype == torch.float32


def test_a_row_padded_scores_as_it_does_alone():
    model, examples = tiny("gpt2"), toy_examples(6)
    alone = [scored_nll(model, collate([example], 0))[0].item() for example in examples]
    together = evaluate(model, examples, pad_id=0)
    assert together.per_example == pytest.approx(alone, rel=1e-12)


def test_a_row_padded_on_the_left_scores_as_it_does_alone():
    model, examples = tiny("llama"), toy_examples(6)
    alone = sum(scored_nll(model, collate([example], 0))[0].item() for example in examples)
    together, _ = scored_nll(model, collate(examples, 0, side="left"))
    assert together.item() == pytest.approx(alone, rel=1e-6)  # rotary positions are float32


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_evaluate_is_the_sum_over_the_count_whatever_the_batches(batch_size):
    model, examples = tiny("llama"), toy_examples(11)
    result = evaluate(model, examples, pad_id=0, batch_size=batch_size)
    pairs = [scored_nll(model, collate([e], 0)) for e in examples]
    nats, tokens = sum(n.item() for n, _ in pairs), sum(c for _, c in pairs)
    assert result.tokens == tokens and result.per_example_tokens == [c for _, c in pairs]
    assert result.nats_per_token == pytest.approx(nats / tokens, rel=1e-12)
    mean_of_means = sum(n.item() / c for n, c in pairs) / len(pairs)
    assert abs(result.nats_per_token - mean_of_means) > 1e-3  # or this test could not tell


def test_bits_per_byte_counts_utf8_bytes():
    model, tokenizer = toy_model(), toy_tokenizer()
    examples = encode([Row("ab", "né", 1), Row("", "नमस्ते", 2)], tokenizer)
    result = evaluate(model, examples, pad_id=0)
    assert result.bits_per_byte == pytest.approx(sum(result.per_example) / math.log(2) / (3 + 18))


def test_evaluate_switches_dropout_off_and_the_flags_back():
    model = tiny("gpt2", resid_pdrop=0.5).train()
    model.transformer.h[0].eval()
    flags = [part.training for part in model.modules()]
    one, two = (evaluate(model, toy_examples(4), pad_id=0) for _ in range(2))
    assert one == two
    assert [part.training for part in model.modules()] == flags


def test_classify_takes_the_label_with_the_likeliest_continuation():
    model, tokenizer = toy_model(seed=3), toy_tokenizer()
    for parameter in model.parameters():
        parameter.data *= 2  # so that the source tells in a random model too
    labels = ["the fox", "k", "j"]
    rows = [Row(f"{i} once {'abcdefghi'[i]}", labels[1 + i % 2], i) for i in range(9)]
    by_hand = []
    for row in rows:
        start = [tokenizer.bos_token_id, *tokenizer(row.source + "\n")["input_ids"]]
        scores = []
        for label in labels:
            end = [*tokenizer(label)["input_ids"], tokenizer.eos_token_id]
            logs = model(torch.tensor([start + end])).logits[0].log_softmax(-1)  # (T, V)
            scores.append(sum(logs[len(start) + i - 1, t].item() for i, t in enumerate(end)))
        by_hand.append(labels[max(range(3), key=scores.__getitem__)])
    assert classify(model, tokenizer, rows, labels) == by_hand
    assert len(set(by_hand)) > 1
    right = sum(guess == row.target for guess, row in zip(by_hand, rows, strict=True))
    assert accuracy(model, tokenizer, rows, labels) == right / 9


def test_forgetting_is_after_less_before_on_the_same_tokens():
    examples = toy_examples(4)
    before = evaluate(tiny("llama"), examples, pad_id=0)
    after = evaluate(tiny("llama", seed=1), examples, pad_id=0)
    assert forgetting(before, after) == after.nats_per_token - before.nats_per_token != 0
    with pytest.raises(ValueError, match="not the same examples"):
        forgetting(before, evaluate(tiny("llama"), examples[:3], pad_id=0))


def test_byte_places_by_hand():
    # a space is one byte, é two, a Devanagari letter three, an emoji four
    texts, tokenizer, model = ["न म", "é नé", "😀 "], toy_tokenizer(), toy_model(seed=2)
    places = [
        [(1, 3), (2, 3), (3, 3), (1, 1), (1, 3), (2, 3), (3, 3)],
        [(1, 2), (2, 2), (1, 1), (1, 3), (2, 3), (3, 3), (1, 2), (2, 2)],
        [(1, 4), (2, 4), (3, 4), (4, 4), (1, 1)],
    ]
    examples = encode([Row("ab", text, i) for i, text in enumerate(texts, 1)], tokenizer)
    result = evaluate_byte_places(model, tokenizer, examples, batch_size=2)
    assert list(result) == sorted({p for own in places for p in own}, key=lambda p: (p[1], p[0]))
    for place, found in result.items():
        by_hand, counts = [], [own.count(place) for own in places]
        for example, own in zip(examples, places, strict=True):
            logs = model(example.input_ids[None]).logits[0].log_softmax(-1)  # (T, V)
            start = len(example.input_ids) - len(own) - 1  # eos is the last
            by_hand.append(
                sum(
                    -logs[start + i - 1, example.input_ids[start + i]].item()
                    for i, its in enumerate(own)
                    if its == place
                )
            )
        assert found.per_example == pytest.approx(by_hand, rel=1e-5)
        assert found.per_example_tokens == counts and found.tokens == sum(counts)
        assert found.nats_per_token == pytest.approx(sum(by_hand) / sum(counts), rel=1e-5)
        assert found.bits_per_byte == pytest.approx(found.nats_per_token / math.log(2))
    ends = [scored_nll(model, collate([e], 0))[0].item() for e in examples]
    without = [sum(found.per_example[i] for found in result.values()) for i in range(3)]
    assert all(whole > rest for whole, rest in zip(ends, without, strict=True))  # eos is left out


def test_byte_places_of_a_text_that_was_cut():
    tokenizer = toy_tokenizer()
    with pytest.warns(UserWarning, match="cut"):
        examples = encode([Row("", "नमन", 1)], tokenizer, max_length=7)  # bos, two letters
    result = evaluate_byte_places(toy_model(), tokenizer, examples)
    assert {place: found.tokens for place, found in result.items()} == {
        (1, 3): 2, (2, 3): 2, (3, 3): 2,
    }  # fmt: skip


def test_byte_places_say_which_text_has_tokens_of_several_bytes():
    tokenizer = toy_tokenizer()
    examples = encode([Row("", "नमस्ते", 1), Row("", "the fox", 2)], tokenizer)
    with pytest.raises(ValueError, match=r"examples\[1\] has \d tokens for the 7 bytes.*'the fox'"):
        evaluate_byte_places(toy_model(), tokenizer, examples)
    with pytest.raises(ValueError, match="empty"):
        evaluate_byte_places(toy_model(), tokenizer, [])
    with pytest.raises(TypeError, match="rows, not examples"):
        evaluate_byte_places(toy_model(), tokenizer, [Row("", "न", 1)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The fox -- and THE hen!", (5, "the fox and the hen")),
        ("a cow and the hen sat", (4, "and the hen sat")),
        ("on the mill", (2, "the mill")),  # no run reaches from one text into the next
        ("don't stop", (1, "don't")),
        ("quite new", (0, "")),
        ("", (0, "")),
    ],
)
def test_longest_copied_run(text, expected):
    corpus = ["The fox and the hen sat on", "the mill: don't fox and the hen"]
    assert longest_copied_run(text, corpus) == expected


def test_longest_copied_run_against_all_runs():
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        text, *corpus = (
            " ".join("abc"[i] for i in torch.randint(3, (9,), generator=generator))
            for _ in range(4)
        )
        found = [
            (end - start, " ".join(words(text)[start:end]))
            for start, end in itertools.combinations(range(10), 2)
            if any(" ".join(words(text)[start:end]) in document for document in corpus)
        ]
        length, run = longest_copied_run(text, corpus)
        assert (length, run) in found and length == max(n for n, _ in found)


def test_form_of_poem(monkeypatch):
    rule = SimpleNamespace(
        rhymes=lambda a, b: a[-2:] == b[-2:], syllables=lambda word: len(word) // 3
    )
    monkeypatch.setitem(__import__("sys").modules, "peft_lab.verse", rule)
    form = form_of_poem("The cat, the mat,\na dog;\n\nthe bat!\nThe log.\nwide sea\n")
    assert form == {"lines": 5, "syllables": [4, 1, 2, 2, 2], "scheme": "ABABC", "rhyme": 0.8}
    assert form_of_poem("  \n")["rhyme"] == 0.0


def test_shuffled_lines_keeps_all_lines_and_the_lengths():
    poems = ["a\nb\nc", "d\ne", "f\ng\nh\ni"]
    mixed = shuffled_lines(poems, seed=1)
    assert [poem.count("\n") for poem in mixed] == [2, 1, 3]
    assert sorted("\n".join(mixed).split()) == list("abcdefghi") and mixed != poems


def test_slot_recall_wants_whole_words():
    source = "name: Tom | animal: red fox | place: mill"
    assert slot_recall("Tom saw a Red Fox.", source) == pytest.approx(2 / 3)
    assert slot_recall("Tomato, the red foxes, a windmill", source) == 0
    assert slot_recall("at the mill tom the red fox", source) == 1


def test_baselines_by_hand():
    train = [Row("sun sun warm", "joy", 1), Row("sun", "joy", 2), Row("dark night", "fear", 3)]
    test = [
        Row("sun night", "joy", 1),  # joy 2/3 * 4/8 * 1/8, fear 1/3 * 1/6 * 2/6
        Row("dark dark", "fear", 2),
        Row("new words", "fear", 3),  # joy 2/3 * 1/8 * 1/8, fear 1/3 * 1/6 * 1/6: wrong
        Row("night", "fear", 4),  # joy 2/3 * 1/8, fear 1/3 * 2/6
    ]
    assert majority_baseline(train, test) == 1 / 4
    assert bag_of_words_baseline(train, test) == 3 / 4
    assert evaluation.bag_of_words_baseline is bag_of_words_baseline


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("method", [None, BitFit, PrefixTuning])
def test_rows_beyond_the_context_are_named(name, method):
    model = tiny(name, dtype=torch.float32)
    (example,) = toy_examples(1)
    ids = example.input_ids.repeat(30)[: CONTEXT + 1]
    long = Example(ids, ids, "", "x")
    attached = method and method(*[2] * (method is PrefixTuning))
    with attached.attach(model) if attached else contextlib.nullcontext():
        with pytest.raises(ValueError, match=rf"{CONTEXT + 1} tokens.*{CONTEXT}.*max_length="):
            evaluate(model, [example, long], pad_id=0)
    fits = Example(ids[:-1], ids[:-1], "", "x")
    assert evaluate(tiny(name), [fits], pad_id=0).tokens == CONTEXT - 1


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([Row("", "a b", 1)], "rows, not examples.*tokenizer"),
        (Task("toy", toy_examples(2), [], []), r"whole task.*task\.test"),
    ],
    ids=["rows", "task"],
)
def test_evaluate_says_what_it_takes(examples, message):
    with pytest.raises(TypeError, match=message):
        evaluate(tiny("llama"), examples, pad_id=0)


def test_classify_takes_any_labels_but_a_string():
    model, tokenizer, labels = toy_model(), toy_tokenizer(), ["joy", "fear", "k"]
    rows = [Row(f"{i} once", labels[i], i) for i in range(3)]
    expected = classify(model, tokenizer, rows, labels)
    for other in (set(labels), iter(labels), dict.fromkeys(labels)):
        assert classify(model, tokenizer, rows, other) == expected
    right = accuracy(model, tokenizer, rows, labels)
    assert accuracy(model, tokenizer, rows, iter(labels)) == right
    with pytest.raises(TypeError, match="labels.*'joy'"):
        classify(model, tokenizer, rows, "joy")
    with pytest.raises(TypeError, match="whole task"):
        classify(model, tokenizer, Task("toy", rows, [], rows), labels)


def test_answers_side_by_side_are_those_of_each_source_alone():
    model, tokenizer = toy_model(seed=3), toy_tokenizer()
    for parameter in model.parameters():
        parameter.data *= 2  # so that the source tells in a random model too
    rows = [Row(" ".join("abcdefghi"[: 1 + i]), "the fox", i) for i in range(6)]
    rows.append(Row("", "the fox", 6))  # nothing given: from bos alone
    found = evaluation.written_answers(model, tokenizer, rows, max_new_tokens=5)
    alone = [
        generate_text(model, tokenizer, row.source + "\n" if row.source else "",
                      max_new_tokens=5, temperature=0)
        for row in rows
    ]  # fmt: skip
    assert found == alone and len(set(found)) > 2
    with pytest.raises(ValueError, match="examples is empty"):
        evaluation.written_answers(model, tokenizer, [])
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1, not 0"):
        evaluation.written_answers(model, tokenizer, rows, max_new_tokens=0)


def test_answers_are_the_likeliest_tokens_whatever_the_model_is_set_to():
    model, tokenizer = toy_model(seed=3), toy_tokenizer()
    for parameter in model.parameters():
        parameter.data *= 2
    rows = [Row("a b", "fox", 1), Row("c d e f", "fox", 2)]
    plain = evaluation.written_answers(model, tokenizer, rows, max_new_tokens=8)
    model.generation_config.num_beams = 3
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.do_sample = True
    assert evaluation.written_answers(model, tokenizer, iter(rows), max_new_tokens=8) == plain
    long = model.config.max_position_embeddings
    with pytest.raises(ValueError, match=f"max_new_tokens is {long} .* context is {long}"):
        evaluation.written_answers(model, tokenizer, rows, max_new_tokens=long)
    with pytest.raises(TypeError, match="one of its splits"):
        evaluation.written_answers(model, tokenizer, Task("t", rows, rows, rows))
