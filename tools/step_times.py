"""How long a training step takes, method against method, in turns: data/results/step_times.json.

    python tools/step_times.py                              # some 8 minutes on a quiet machine
    python tools/step_times.py --base storyteller-small --rounds 20

The `step_ms` of a stored run was taken while other runs went on beside it. Here the methods of the
experiment `poems` take turns: in each round every one makes `--steps` steps of `fit` on the same
batches, with one thread. Each step is told in full fine-tuning's on the same batch, and of a round
the median is kept. What disturbs a round disturbs both. Time is that of the processor.
"""

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import grid  # noqa: E402
import sweep  # noqa: E402

from peft_lab.paths import data_dir  # noqa: E402

EXPERIMENT, WHOLE = "poems", "full"  # every step is told in steps of WHOLE
RATE = 1e-5  # weights that hardly move: a step takes as long at any rate
WARM_UP = 2  # rounds that do not count


def trained_arms() -> dict[str, dict]:
    """The methods of the experiment that train: arm -> the method's description in the grid."""
    arms = grid.EXPERIMENTS[EXPERIMENT]["arms"]
    return {arm["arm"]: arm["method"] for arm in arms if arm["rates"] is not grid.NO_TRAINING}


def shares(one: list[list[float]], other: list[list[float]]) -> list[float]:
    """The median of each round's ratios, step by step."""
    return [
        round(statistics.median(a / b for a, b in zip(*pair, strict=True)), 4)
        for pair in zip(one, other, strict=True)
    ]


def measure(base: str, rounds: int, steps: int) -> dict:
    """What is stored of one base: every round of every arm, and on what machine it was taken."""
    from peft_lab import collate
    from peft_lab.operations import step_operations

    settings = {**grid.SETTINGS, "base": base, "steps": steps, "learning_rate": RATE, "seed": 0}
    model, _, task, facts = sweep.materials(base, settings["task"])
    configs = {arm: {**settings, "method": spec} for arm, spec in trained_arms().items()}
    methods = {
        arm: sweep.make_method(config["method"], config, sweep.STARTS)
        for arm, config in configs.items()
    }
    first = collate(task.train[: settings["batch_size"]], model.config.pad_token_id)
    counted = {}
    for arm, method in methods.items():
        with method.attach(model):
            counted[arm] = step_operations(model, method, first)
    taken = {arm: [] for arm in methods}  # a list for each round: milliseconds of each step
    names = [*methods]
    for number in range(WARM_UP + rounds):
        turn = number % len(names)
        for arm in names[turn:] + names[:turn]:  # each has its turn at the first place
            config = {**configs[arm], "seed": number}
            with methods[arm].attach(model):
                _, found = sweep.train(
                    model, task.train, methods[arm], config, clock=time.process_time
                )
            if number >= WARM_UP:
                taken[arm].append(found)
        print(f"round {number + 1} of {WARM_UP + rounds}", file=sys.stderr, flush=True)
    return {
        "base": base, "task": settings["task"], **facts, "rounds": rounds, "steps": steps,
        "batch_size": settings["batch_size"],
        "arms": {
            arm: {
                "step_ms": round(statistics.median(sum(taken[arm], [])), 2),
                "of_full": shares(taken[arm], taken[WHOLE]),
                "operations": counted[arm],
            }
            for arm in names
        },
        "versions": sweep.versions(), "machine": sweep.machine(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"), **sweep.code_state(),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default=grid.SETTINGS["base"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=10, help="of each method in a round")
    parser.add_argument("--out", type=Path, default=data_dir() / "results" / "step_times.json")
    given = parser.parse_args(arguments)
    if given.rounds < 3 or given.steps < 3:
        parser.error("a median needs at least 3 rounds of 3 steps")
    stored = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    stored[given.base] = measure(given.base, given.rounds, given.steps)
    sweep.write_record(given.out, stored)
    for arm, found in stored[given.base]["arms"].items():
        low, middle, high = statistics.quantiles(found["of_full"], n=4)
        print(
            f"{arm:<15}{found['step_ms']:8.1f} ms {middle:6.3f} ({low:.3f} to {high:.3f}) of "
            f"{WHOLE}'s, {found['operations'] / 1e9:.2f} G operations"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
