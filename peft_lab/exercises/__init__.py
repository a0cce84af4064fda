"""Checkers of the exercises: each shows the target beside yours and names the mistake.

``answer = check_01a(answer)`` prints, never raises, and gives back the learner's answer when it is
right, else the package's. The solutions lie in ``notebooks/solutions``.
"""

from .core import NOT_YET, RIGHT
from .nb00 import check_00a, check_00b, check_00c
from .nb01 import check_01a, check_01b, check_01c
from .nb02 import check_02a, check_02b, check_02c
from .nb03 import check_03a, check_03b, check_03c
from .nb04 import check_04a, check_04b, check_04c
from .nb05 import check_05a, check_05b, check_05c
from .nb06 import check_06a, check_06b, check_06c
from .nb07 import check_07a, check_07b, check_07c
from .nb08 import check_08a, check_08b, check_08c
from .nb09 import check_09a, check_09b, check_09c
from .nb10 import check_10a, check_10b, check_10c
from .nb11 import check_11a, check_11b, check_11c

CHECKS = {
    check.number: check
    for check in (
        check_00a, check_00b, check_00c, check_01a, check_01b, check_01c, check_02a, check_02b,
        check_02c, check_03a, check_03b, check_03c, check_04a, check_04b, check_04c,
        check_05a, check_05b, check_05c,
        check_06a, check_06b, check_06c,
        check_07a, check_07b, check_07c,
        check_08a, check_08b, check_08c,
        check_09a, check_09b, check_09c,
        check_10a, check_10b, check_10c,
        check_11a, check_11b, check_11c,
    )
}  # fmt: skip

__all__ = [
    "CHECKS",
    "NOT_YET",
    "RIGHT",
    *(f"check_{number}" for number in CHECKS),
]
