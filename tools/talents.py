"""Make the talent files of notebook 00: small methods for one frozen storyteller.

    python tools/talents.py                     the files that ship, in data/talents/
    python tools/talents.py --steps 50 --out X  a quick look

For each size of file, from small to large, a method is trained on `poems` and one on `moods`. Then
the first lines below are written on, by the base and by the base with each file: have the texts the
form they should have (`kind_of_text`) at least nine times in ten? The smallest size that manages
ships; the table of all sizes that were tried goes into data/talents/README.md.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from peft_lab import (  # noqa: E402
    PrefixTuning,
    PromptTuning,
    fingerprint,
    fit,
    generate_text,
    load_base,
    load_task,
)
from peft_lab.text_measures import kind_of_text  # noqa: E402

BASE, ENOUGH = "storyteller-micro", 0.9
TEXT = {"poems": "Here is a little poem in four lines.", "moods": "How did she feel? Say one word."}
CANDIDATES = ["prompt 10", "prompt 20", "prefix 5", "prefix 10"]  # from small to large files
STARTS = """The little fox could not find her den.
My old grey cat lay down in the sun.
The rain came down on the tin roof.
Tom broke the blue cup and hid it.
A big dog ran at the small boy.
Anna won the race at the fair.
The wind took my new red hat.
Ben heard a step behind the door.
The hen laid one egg of gold.
Grandma gave me a cake with jam.
The moon fell into the duck pond.
Lucy built a boat all by herself.
The frog sat on the king's chair.
Sam waited, but nobody came to play.
The lamp went out in the long hall.
A bear knocked and asked for tea.
The baby bird flew for the first time.
My brother ate the last warm bun.
The snow had covered every path.
Mia found a pearl in her shoe.
The mouse bit through the lion's net.
Our ship came home at last.
The wolf looked in at the window.
Jack's kite was torn in two.
The goose said good morning to me.""".splitlines()


def make(name, task, tokenizer):
    kind, length = name.split()
    if kind == "prompt":
        return PromptTuning(int(length), "text", text=TEXT[task], tokenizer=tokenizer)
    return PrefixTuning(int(length), "text", text=TEXT[task], tokenizer=tokenizer)


def told_apart(model, tokenizer, starts, wanted):
    """The share of texts with the wanted form, two for each start. For the one word the likeliest
    tokens are taken: an answer is not drawn by lot."""
    hits = 0
    for number, start in enumerate(starts):
        for seed in (2 * number, 2 * number + 1):
            warm = 0.0 if wanted == "one word" else 0.6
            text = generate_text(model, tokenizer, start, temperature=warm, seed=seed)
            hits += kind_of_text(text) == wanted
    return hits / (2 * len(starts))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "talents")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer = load_base(BASE)
    tasks = {name: load_task(name, tokenizer) for name in TEXT}
    starts = [line + "\n" for line in STARTS]
    shares = {"none": {"stories": told_apart(model, tokenizer, starts, "story")}}
    print("no file:", shares["none"], flush=True)
    chosen = None
    for name in CANDIDATES:
        began, shares[name] = time.perf_counter(), {}
        for task, wanted in (("poems", "poem"), ("moods", "one word")):
            with make(name, task, tokenizer).attach(model) as method:
                fit(model, tasks[task], method, steps=args.steps, learning_rate=0.3, progress=False)
                shares[name][task] = told_apart(model, tokenizer, starts, wanted)
                method.save(args.out / name / task)
        seconds = time.perf_counter() - began
        size = sum(f.stat().st_size for f in (args.out / name / "poems").iterdir())
        shares[name]["bytes"] = size
        print(name, shares[name], f"{seconds:.0f} s", flush=True)
        if min(shares[name]["poems"], shares[name]["moods"]) >= ENOUGH:
            chosen = name
            break
    chosen = chosen or name
    for task in TEXT:
        shutil.copytree(args.out / chosen / task, args.out / task, dirs_exist_ok=True)
    for name in CANDIDATES:
        shutil.rmtree(args.out / name, ignore_errors=True)
    rows = [
        f"| {name} | {row['bytes']:,} | {row['poems']:.0%} | {row['moods']:.0%} |"
        for name, row in shares.items()
        if name != "none"
    ]
    (args.out / "README.md").write_text(
        f"# Talents: small files for {BASE} (fingerprint `{fingerprint(model)}`)\n\n"
        f"Made by `python tools/talents.py`: {args.steps} steps of 8 rows, AdamW 0.3, seed 0, for\n"
        f"each task. How often a text has the form it should have, over {2 * len(STARTS)} texts a\n"
        "file:\n\n"
        "| method and length | bytes of a file | poem after `poems` | one word after `moods` |\n"
        "|---|---:|---:|---:|\n" + "\n".join(rows) + "\n\n"
        f"Without a file {shares['none']['stories']:.0%} of the texts have the form of a story.\n"
        f"Shipped: {chosen}. Licence: CC BY 4.0.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
