"""Draw the README's picture from the stored runs: python tools/readme_picture.py"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from peft_lab import plots, results  # noqa: E402
from peft_lab.plots.style import png  # noqa: E402


def draw():
    """Held-out loss against trainable parameters, as at the end of notebook 04; PNG bytes."""
    runs = results.load_runs("summary", failed=True)
    rows = {row.arm: row for row in results.summary(runs)}
    base = rows.pop("base").loss.mean
    figure = plots.against_parameters(
        {name: (row.parameters, row.loss.values) for name, row in rows.items()},
        "1.6 % of the parameters buy three quarters of the gain",
        bases=[run["base_fingerprint"] for run in runs],
        baselines={"the base": base},
        origin=results.origin(runs),
    )
    return png(figure)


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "result.png").write_bytes(draw())
