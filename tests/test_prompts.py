"""The soft prompts that notebook 03 reads: files for this base, made by tools/prompts.py."""

import subprocess
import sys

import pytest

from peft_lab import evaluate, fingerprint, load_base, load_task
from peft_lab.methods import Method
from peft_lab.paths import data_dir
from tools import prompts

FOLDER = data_dir() / "prompts"


@pytest.fixture(scope="module")
def base():
    if not (data_dir() / "models" / prompts.BASE).is_dir():
        pytest.skip(f"{prompts.BASE} is not here")
    return load_base(prompts.BASE)


@pytest.mark.parametrize("seed", prompts.SEEDS)
def test_a_prompt_is_for_this_base_and_lowers_the_loss(seed, base):
    model, tokenizer = base
    test = load_task("poems", tokenizer).test[:10]
    method = Method.load(FOLDER / f"poems-{seed}")
    assert method._base == fingerprint(model)  # so that another base is refused
    before = evaluate(model, test, pad_id=tokenizer.pad_token_id).nats_per_token
    with method.attach(model):
        assert method.num_parameters() == 20 * model.config.hidden_size
        after = evaluate(model, test, pad_id=tokenizer.pad_token_id).nats_per_token
    assert after < before - 0.3
    assert fingerprint(model) in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_tool_makes_such_files(tmp_path, base):
    command = [sys.executable, prompts.__file__, "--steps", "1", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in FOLDER.iterdir()}
