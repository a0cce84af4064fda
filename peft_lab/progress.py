"""What one sees while `fit` runs: a bar, and in a notebook a curve that grows."""

import os
import sys
import time


def in_notebook() -> bool:
    """True in a Jupyter kernel (not in plain Python, nor in IPython's terminal)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def quiet() -> bool:
    """Runs that check the notebooks set PEFT_LAB_STRICT=1: what moves is left out there."""
    return os.environ.get("PEFT_LAB_STRICT", "") not in ("", "0")


class Progress:
    """A bar and a live curve; `close` it in the end.

    Args:
        bar: None shows it in notebooks and terminals, and not under PEFT_LAB_STRICT=1.
        curve: None draws it in notebooks, and not under PEFT_LAB_STRICT=1.
    """

    seconds_between_curves = 1.0

    def __init__(self, steps: int, done: int, bar: bool | None, curve: bool | None):
        from tqdm.auto import tqdm

        hidden = not bar if bar is not None else (quiet() or not (in_notebook() or _terminal()))
        self.bar = tqdm(total=steps, initial=done, unit="step", disable=hidden, leave=True)
        self.curve = (in_notebook() and not quiet()) if curve is None else curve
        self.steps, self.handle, self.drawn = steps, None, 0.0

    def update(self, history) -> None:
        """One more step is done."""
        self.bar.update(1)
        shown = {"train": f"{history.train[-1][1]:.3f}"}
        if history.validation:
            shown["validation"] = f"{history.validation[-1][1]:.3f}"
        self.bar.set_postfix(shown, refresh=False)
        if self.curve and time.monotonic() - self.drawn > self.seconds_between_curves:
            self.draw(history)

    def draw(self, history) -> None:
        """Draw the curve anew, in the place of the one before."""
        from IPython.display import Image, display

        from . import plots

        title = f"Loss while training: step {history.steps} of {self.steps}"
        picture = Image(plots.png(plots.live_curve(history, title)))
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)
        self.drawn = time.monotonic()

    def close(self, history) -> None:
        """The last state of bar and curve."""
        if self.curve and history.train:
            self.draw(history)
        self.bar.close()


def _terminal() -> bool:
    return bool(getattr(sys.stderr, "isatty", lambda: False)())
