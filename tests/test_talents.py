"""The files of notebook 00: what they do to a text, and how its form is told."""

import pytest

from peft_lab import evaluate, fingerprint, load_base, load_task
from peft_lab.methods import Method
from peft_lab.paths import data_dir
from peft_lab.text_measures import kind_of_text

LIMERICK = "One\ntwo three four\nfive\nsix seven"
TALENTS = ["moods", "poems"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("happy", "one word"),
        ("  Happy.\n\n", "one word"),
        ("don't", "one word"),
        ("very happy", "story"),  # one line, and more than one word
        ("happy\nsad", "poem"),
        (LIMERICK, "poem"),
        (LIMERICK.replace("\n", "\n\n"), "poem"),  # blank lines do not count
        ("\n".join(["a b c"] * 6), "poem"),
        ("\n".join(["a b c"] * 7), "story"),  # too many lines
        ("\n".join(["a b c d e f g h i j"] * 4), "poem"),
        ("\n".join(["a b c d e f g h i j k"] * 4), "story"),  # too long
        ("\n".join(["a b", "a b c", " ".join("abcdefghijklmnop")]), "poem"),  # the middle length
        ("Once upon a time there was a fox. He lived in a den.", "story"),
        ("", "story"),
        ("...", "story"),
    ],
)
def test_kind_of_text(text, kind):
    assert kind_of_text(text) == kind


@pytest.fixture(scope="module")
def base():
    if not (data_dir() / "models" / "storyteller-micro").is_dir():
        pytest.skip("storyteller-micro is not here")
    return load_base("storyteller-micro")


@pytest.mark.parametrize("name", TALENTS)
def test_a_talent_is_a_small_file_for_this_base(name, base):
    model, _ = base
    folder = data_dir() / "talents" / name
    method = Method.load(folder)
    assert method._base == fingerprint(model)  # so that another base is refused
    assert fingerprint(model) in (folder.parent / "README.md").read_text(encoding="utf-8")
    with method.attach(model):
        assert method.num_parameters() == method.expected_parameters(model.config)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 30_000  # a few kilobytes


@pytest.mark.parametrize("task", TALENTS)
def test_a_talent_lowers_the_loss_on_its_task_more_than_the_other_does(task, base):
    model, tokenizer = base
    test = load_task(task, tokenizer).test[:10]

    def loss() -> float:
        return evaluate(model, test, pad_id=tokenizer.pad_token_id).nats_per_token

    before, gain = loss(), {}
    for name in TALENTS:
        with Method.load(data_dir() / "talents" / name).attach(model):
            gain[name] = before - loss()
        assert loss() == before  # the base is as it was
    assert gain[task] > 0.3, gain
    assert gain[task] > gain["poems" if task == "moods" else "moods"] + 0.3, gain
