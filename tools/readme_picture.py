"""Draw the README's picture from the stored runs: python tools/readme_picture.py"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from peft_lab import plots, results  # noqa: E402
from peft_lab.plots.style import png  # noqa: E402

ARMS = {  # of each experiment
    "summary": ("base", "prompt", "BitFit", "prefix (text)", "top 1", "top 2", "full"),
    "adapters": ("IA3", "Pfeiffer 16"),
    "lora": ("LoRA 1", "LoRA 8, all"),
}


def draw():
    """Held-out loss against trainable parameters, each method once or twice; PNG bytes."""
    runs = [
        run
        for experiment, arms in ARMS.items()
        for run in results.load_runs(experiment, failed=True)
        if run["arm"] in arms
    ]
    rows = {row.arm: row for name in ARMS for row in results.summary(_of(runs, name))}
    base, full = rows.pop("base").loss.mean, rows["full"]
    lora = rows["LoRA 8, all"]
    share = (base - lora.loss.mean) / (base - full.loss.mean)
    part = lora.parameters / full.parameters
    figure = plots.against_parameters(
        {name: (row.parameters, row.loss.values) for name, row in rows.items()},
        f"{part:.0%} of the parameters buy {share:.0%} of the gain",
        bases=[run["base_fingerprint"] for run in runs],
        baselines={"the base": base},
        origin="stored, 5 seeds, python tools/sweep.py",
    )
    return png(figure)


def _of(runs, experiment):
    return [run for run in runs if run["experiment"] == experiment]


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "result.png").write_bytes(draw())
