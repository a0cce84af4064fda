"""Train the soft prompt of notebook 03 with other seeds and keep the vectors, in data/prompts.

    python tools/prompts.py             seeds 1 to 4; the notebook trains seed 0 itself
    python tools/prompts.py --steps 5 --out X     a quick look

The recipe is the notebook's: 20 vectors from random words, 150 steps of 8 poems, learning rate
0.3. What is said there about the meaning of the vectors is tried on these prompts as well.
"""

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from peft_lab import PromptTuning, evaluate, fingerprint, fit, load_base, load_task  # noqa: E402

BASE, SEEDS = "storyteller-micro", (1, 2, 3, 4)
RECIPE = {"batch_size": 8, "learning_rate": 0.3}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "prompts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_base(BASE)
    task = load_task("poems", tokenizer)
    rows = []
    for seed in SEEDS:
        with PromptTuning(20, init="vocabulary", seed=seed).attach(model) as method:
            fit(model, task, method, steps=args.steps, seed=seed, progress=False, **RECIPE)
            loss = evaluate(model, task.test, pad_id=tokenizer.pad_token_id).nats_per_token
            method.save(args.out / f"poems-{seed}")
        rows.append(f"| {seed} | {loss:.3f} |")
        print(rows[-1], flush=True)
    (args.out / "README.md").write_text(
        f"# Soft prompts for {BASE} (fingerprint `{fingerprint(model)}`)\n\n"
        f"Made by `python tools/prompts.py`: {args.steps} steps of 8 poems, AdamW 0.3, 20 vectors\n"
        "that start at random words. Notebook 03 trains seed 0 itself, and tries on these what it\n"
        "says about that one. Licence: CC BY 4.0.\n\n"
        "| seed | held-out loss, 200 poems, nats a token |\n|---|---:|\n" + "\n".join(rows) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
