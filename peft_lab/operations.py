"""Operations: multiply-adds for one token on its way through the model, in closed form.

A matrix of a rows and b columns takes a x b multiplications and as many additions for each token;
together they count as a x b multiply-adds. Counted are the matrices: the linear layers of the
blocks, the head, what a method adds. Left out is what is small beside them (norms, rotations,
activation functions, biases), and attention over the text itself, which grows with the text.
"""

from collections.abc import Callable

from .anatomy import dimensions, linear_shapes
from .methods.adapter import PLACEMENTS

PLACES = ("houlsby", "pfeiffer", "parallel", "IA3", "IA3, merged")


def model_operations(config) -> int:
    """Multiply-adds a token of the model alone: its linear layers and its head."""
    size = dimensions(config)
    block = sum(inputs * outputs for inputs, outputs, _ in linear_shapes(config).values())
    return size.layers * block + size.embedding_size * size.vocabulary


def adapter_operations(config, width: int, placement: str) -> int:
    """An adapter's two matrices, d x width and width x d, at each of its places."""
    size = dimensions(config)
    places = size.layers * len(PLACEMENTS[placement][0])
    return places * 2 * size.hidden_size * width


def ia3_operations(config) -> int:
    """One multiplication for each key, value and feed-forward activation; 0 once merged."""
    size = dimensions(config)
    return size.layers * (2 * size.kv_size + size.inner)


def prefix_operations(config, length: int) -> int:
    """For each place of the prefix a score and a weighted value, in every head of every layer."""
    size = dimensions(config)
    return size.layers * 2 * size.heads * size.head_dim * length


def module_bill(config, place: str, width: int = 16) -> dict:
    """What a small module costs, from the config alone.

    Args:
        place: one of PLACES.
        width: of the bottleneck; IA3 has none.

    Returns:
        {"parameters": trained, "bytes": in float32, "operations": multiply-adds a token, "share":
        of the model's own operations}.

    Raises:
        ValueError: an unknown place, a width below 1.
    """
    from .methods import IA3, Adapter

    if place not in PLACES:
        raise ValueError(f"place={place!r}: it must be one of {', '.join(PLACES)}.")
    if place.startswith("IA3"):
        parameters = IA3().expected_parameters(config)
        operations = 0 if "merged" in place else ia3_operations(config)
    else:
        parameters = Adapter(width, place).expected_parameters(config)
        operations = adapter_operations(config, width, place)
    return {
        "parameters": parameters,
        "bytes": 4 * parameters,
        "operations": operations,
        "share": operations / model_operations(config),
    }


def step_operations(model, method, batch: dict) -> int:
    """Floating point operations of matrices in one step, forward and backward, as PyTorch counts
    them; the method is attached. Two for each multiply-add."""
    from torch.utils.flop_counter import FlopCounterMode

    from .evaluation import scored_nll

    with FlopCounterMode(display=False) as counter:
        scored_nll(model, batch)[0].backward()
    method.zero_grad()
    return counter.get_total_flops()


def operator_calls(fn: Callable[[], object]) -> int:
    """How many of PyTorch's operators `fn()` calls, whatever their size. Views count too."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            self.calls += 1
            return operator(*args, **(kwargs or {}))

    with Counter() as counter:
        fn()
    return counter.calls
