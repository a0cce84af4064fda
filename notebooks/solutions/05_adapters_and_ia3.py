"""Solutions of notebook 05.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import torch
import torch.nn.functional as F
from torch import nn

# ---- 05a: new_adapter and adapter ------------------------------------


def solution_05a_new_adapter(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    nn.init.zeros_(up.weight)  # (d, width)
    nn.init.zeros_(up.bias)  # (d,)
    return down, up


def solution_05a_adapter(h, down, up):
    return h + up(F.relu(down(h)))  # (B, T, d)


def variant_05a_new_adapter(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    nn.init.normal_(down.weight, std=0.01)
    nn.init.zeros_(down.bias)
    for parameter in up.parameters():
        parameter.data.fill_(0)
    return [down, up]


def variant_05a_adapter(h, down, up):
    inside = torch.clamp(h @ down.weight.T + down.bias, min=0)
    return inside @ up.weight.T + up.bias + h


def wrong_05a_no_residual(h, down, up):
    return up(F.relu(down(h)))


def wrong_05a_no_activation(h, down, up):
    return h + up(down(h))


def wrong_05a_activation_last(h, down, up):
    return h + F.relu(up(down(h)))


def wrong_05a_gelu(h, down, up):
    return h + F.gelu(down(h)) @ up.weight.T + up.bias


def wrong_05a_up_random(d, width):
    return nn.Linear(d, width), nn.Linear(width, d)


def wrong_05a_up_bias(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    nn.init.zeros_(up.weight)
    return down, up


def wrong_05a_both_zero(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    for layer in (down, up):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    return down, up


def wrong_05a_down_zero(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    for parameter in down.parameters():
        nn.init.zeros_(parameter)
    nn.init.zeros_(up.bias)
    return down, up


def wrong_05a_half_dead(d, width):
    down, up = solution_05a_new_adapter(d, width)
    nn.init.zeros_(down.weight)  # (width, d); its bias is random
    return down, up


def wrong_05a_zero_and_bias(d, width):
    down, up = wrong_05a_half_dead(d, width)
    nn.init.constant_(down.bias, 0.5)
    return down, up


def wrong_05a_down_weight(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    nn.init.zeros_(down.weight)
    return down, up


def wrong_05a_far_below(d, width):
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    nn.init.constant_(down.bias, -1000)
    nn.init.zeros_(up.bias)
    return down, up


def wrong_05a_nearly(d, width):
    down, up = solution_05a_new_adapter(d, width)
    nn.init.normal_(up.weight, std=1e-4)
    return down, up


def wrong_05a_fixed_size(d, width):
    return solution_05a_new_adapter(6, 2)


def wrong_05a_detached(h, down, up):
    return h + up(F.relu(down(h))).detach()


def wrong_05a_h_detached(h, down, up):
    return h.detach() + up(F.relu(down(h)))


def wrong_05a_no_grad(h, down, up):
    with torch.no_grad():
        return h + up(F.relu(down(h)))


def wrong_05a_square(d, width):
    down, up = nn.Linear(d, d), nn.Linear(d, d)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    return down, up


def wrong_05a_all_alike(d, width):
    down, up = solution_05a_new_adapter(d, width)
    nn.init.ones_(down.weight)
    return down, up


_NEW, _RUN = solution_05a_new_adapter, solution_05a_adapter


def variant_05a_positive_bias(d, width):
    down, up = solution_05a_new_adapter(d, width)
    nn.init.ones_(down.bias)
    return down, up


VARIANTS_05A = {
    "biases at one": (variant_05a_positive_bias, solution_05a_adapter),
    "by hand, a list, other spread": (
        variant_05a_new_adapter,
        variant_05a_adapter,
    ),
}
WRONG_05A = {
    "no residual": ("no residual", (_NEW, wrong_05a_no_residual)),
    "up random": ("up random", (wrong_05a_up_random, _RUN)),
    "up's bias random": ("up's bias", (wrong_05a_up_bias, _RUN)),
    "both zero": ("dead", (wrong_05a_both_zero, _RUN)),
    "down zero, up random": ("dead", (wrong_05a_down_zero, _RUN)),
    "both weights zero": ("half dead", (wrong_05a_half_dead, _RUN)),
    "both, one bias": ("all alike", (wrong_05a_zero_and_bias, _RUN)),
    "down's weight zero": ("down zero", (wrong_05a_down_weight, _RUN)),
    "down's bias far below": ("dead", (wrong_05a_far_below, _RUN)),
    "up nearly zero": ("nearly", (wrong_05a_nearly, _RUN)),
    "sizes by heart": ("fixed size", (wrong_05a_fixed_size, _RUN)),
    "change detached": ("cut off", (_NEW, wrong_05a_detached)),
    "h detached": ("cut off", (_NEW, wrong_05a_h_detached)),
    "under no_grad": ("cut off", (_NEW, wrong_05a_no_grad)),
    "no bottleneck": ("no bottleneck", (wrong_05a_square, _RUN)),
    "ones in down": ("all alike", (wrong_05a_all_alike, _RUN)),
    "no ReLU": ("no activation", (_NEW, wrong_05a_no_activation)),
    "ReLU at the end": (
        "activation's place",
        (_NEW, wrong_05a_activation_last),
    ),
    "GELU": ("another activation", (_NEW, wrong_05a_gelu)),
}

# ---- 05b: add_ia3 ----------------------------------------------------


def solution_05b(block):
    k, v = block.self_attn.k_proj, block.self_attn.v_proj
    down = block.mlp.down_proj
    scale = {
        "k": nn.Parameter(torch.ones(k.out_features)),
        "v": nn.Parameter(torch.ones(v.out_features)),
        "ff": nn.Parameter(torch.ones(down.in_features)),
    }
    k.register_forward_hook(lambda m, x, y: y * scale["k"])
    v.register_forward_hook(lambda m, x, y: y * scale["v"])
    down.register_forward_pre_hook(lambda m, x: x[0] * scale["ff"])
    return scale


def variant_05b(block):
    """The parameters registered on the block, forward replaced."""

    class Scaled(nn.Module):
        def __init__(self, linear, size, after):
            super().__init__()
            self.linear, self.after = linear, after
            self.scale = nn.Parameter(torch.ones(size))

        def forward(self, x):
            if self.after:
                return self.linear(x) * self.scale
            return self.linear(x * self.scale)

    at, mlp = block.self_attn, block.mlp
    at.k_proj = Scaled(at.k_proj, at.k_proj.out_features, True)
    at.v_proj = Scaled(at.v_proj, at.v_proj.out_features, True)
    size = mlp.down_proj.in_features
    mlp.down_proj = Scaled(mlp.down_proj, size, False)
    return {
        "k": at.k_proj.scale,
        "v": at.v_proj.scale,
        "ff": mlp.down_proj.scale,
    }


def _hooked(block, start=torch.ones, q=False, after=False):
    at, down = block.self_attn, block.mlp.down_proj
    ff = down.out_features if after else down.in_features
    scale = {
        "k": nn.Parameter(start(at.k_proj.out_features)),
        "v": nn.Parameter(start(at.v_proj.out_features)),
        "ff": nn.Parameter(start(down.in_features)),
    }
    at.k_proj.register_forward_hook(lambda m, x, y: y * scale["k"])
    at.v_proj.register_forward_hook(lambda m, x, y: y * scale["v"])
    if q:
        times = at.q_proj.out_features // at.k_proj.out_features
        at.q_proj.register_forward_hook(
            lambda m, x, y: y * scale["k"].repeat(times)
        )
    if after:
        down.register_forward_hook(lambda m, x, y: y * scale["ff"][:ff])
    else:
        down.register_forward_pre_hook(
            lambda m, x: (x[0] * scale["ff"],)
        )
    return scale


def wrong_05b_init_0(block):
    return _hooked(block, start=torch.zeros)


def _hooked_as(block, act, start=torch.zeros):
    """`act(x, vector)` says what a hook does."""
    at, down = block.self_attn, block.mlp.down_proj
    scale = {
        "k": nn.Parameter(start(at.k_proj.out_features)),
        "v": nn.Parameter(start(at.v_proj.out_features)),
        "ff": nn.Parameter(start(down.in_features)),
    }
    at.k_proj.register_forward_hook(lambda m, x, y: act(y, scale["k"]))
    at.v_proj.register_forward_hook(lambda m, x, y: act(y, scale["v"]))
    down.register_forward_pre_hook(
        lambda m, x: (act(x[0], scale["ff"]),)
    )
    return scale


def wrong_05b_one_plus(block):
    return _hooked_as(block, lambda x, vector: x * (1 + vector))


def wrong_05b_adds(block):
    return _hooked_as(block, lambda x, vector: x + vector)


def wrong_05b_adds_ones(block):
    return _hooked_as(block, lambda x, vector: x + vector, torch.ones)


def wrong_05b_scales_q(block):
    return _hooked(block, q=True)


def wrong_05b_after_down(block):
    return _hooked(block, after=True)


def wrong_05b_after_down_sized(block):
    scale = _hooked(block)
    ff = nn.Parameter(torch.ones(block.mlp.down_proj.out_features))
    block.mlp.down_proj.register_forward_hook(lambda m, x, y: y * ff)
    return {**scale, "ff": ff}


def wrong_05b_no_return(block):
    scale = solution_05b(block)
    for part in (block.self_attn.k_proj, block.self_attn.v_proj):
        part._forward_hooks.clear()
    block.mlp.down_proj._forward_pre_hooks.clear()

    def hook(module, x, y):
        y = y * scale["k"]

    block.self_attn.k_proj.register_forward_hook(hook)
    return scale


def _three(block):
    at, down = block.self_attn, block.mlp.down_proj
    return at.k_proj, at.v_proj, down


def wrong_05b_loop(block):
    *two, down = _three(block)
    scale = {"ff": nn.Parameter(torch.ones(down.in_features))}
    for name, layer in zip("kv", two, strict=True):
        scale[name] = nn.Parameter(torch.ones(layer.out_features))
        layer.register_forward_hook(
            lambda m, x, y: y * scale[name]  # noqa: B023
        )
    down.register_forward_pre_hook(lambda m, x: x[0] * scale["ff"])
    return scale


def wrong_05b_one_vector(block):
    scale = solution_05b(block)
    block.self_attn.v_proj._forward_hooks.clear()
    block.self_attn.v_proj.register_forward_hook(
        lambda m, x, y: y * scale["k"]
    )
    return {**scale, "v": scale["k"]}


def wrong_05b_after_hook(block):
    scale = wrong_05b_forgets_ff(block)
    block.mlp.down_proj.register_forward_hook(
        lambda module, inputs, output: output * scale["ff"]
    )
    return scale


def wrong_05b_three_arguments(block):
    scale = wrong_05b_forgets_ff(block)
    block.mlp.down_proj.register_forward_pre_hook(
        lambda module, inputs, output: output * scale["ff"]
    )
    return scale


def wrong_05b_two_arguments(block):
    scale = solution_05b(block)
    block.self_attn.k_proj.register_forward_hook(
        lambda module, inputs: inputs[0] * scale["k"]
    )
    return scale


def wrong_05b_k_returns_nothing(block):
    scale = solution_05b(block)
    k_proj = block.self_attn.k_proj
    k_proj._forward_hooks.clear()

    def hook(module, inputs, output):
        output = output * scale["k"]

    k_proj.register_forward_hook(hook)
    return scale


def wrong_05b_ff_alone(block):
    scale = solution_05b(block)
    for layer in _three(block)[:2]:
        layer._forward_hooks.clear()
    return scale


def wrong_05b_forgets_ff(block):
    scale = solution_05b(block)
    block.mlp.down_proj._forward_pre_hooks.clear()
    return scale


def wrong_05b_gate(block):
    scale = wrong_05b_forgets_ff(block)
    block.mlp.gate_proj.register_forward_hook(
        lambda m, x, y: y * scale["ff"]
    )
    return scale


def wrong_05b_plain_tensors(block):
    scale = solution_05b(block)
    for vector in scale.values():
        vector.requires_grad_(False)
    return scale


def wrong_05b_detached(block):
    at, down = block.self_attn, block.mlp.down_proj
    scale = {
        "k": nn.Parameter(torch.ones(at.k_proj.out_features)),
        "v": nn.Parameter(torch.ones(at.v_proj.out_features)),
        "ff": nn.Parameter(torch.ones(down.in_features)),
    }
    at.k_proj.register_forward_hook(
        lambda m, x, y: y * scale["k"].detach()
    )
    at.v_proj.register_forward_hook(lambda m, x, y: y * scale["v"])
    down.register_forward_pre_hook(lambda m, x: x[0] * scale["ff"].data)
    return scale


VARIANTS_05B = {"wrapped layers": variant_05b}
WRONG_05B = {
    "starts at 0": ("init 0", wrong_05b_init_0),
    "1 + k, from 0": ("another factor", wrong_05b_one_plus),
    "adds, from 0": ("another factor", wrong_05b_adds),
    "adds, from 1": ("not times", wrong_05b_adds_ones),
    "scales the queries too": ("scales q", wrong_05b_scales_q),
    "scales what down_proj puts out": (
        "after down_proj",
        wrong_05b_after_down,
    ),
    "the same, d numbers": ("sizes", wrong_05b_after_down_sized),
    "hooks return nothing": ("not connected", wrong_05b_no_return),
    "no third vector": ("one is missing", wrong_05b_forgets_ff),
    "k's hook returns nothing": (
        "one is missing",
        wrong_05b_k_returns_nothing,
    ),
    "only the third": ("one is missing", wrong_05b_ff_alone),
    "k and v in a loop": ("late look-up", wrong_05b_loop),
    "one vector for both": ("one vector", wrong_05b_one_vector),
    "hook after down_proj": ("before or after", wrong_05b_after_hook),
    "pre-hook, three arguments": (
        "hook's arguments",
        wrong_05b_three_arguments,
    ),
    "hook, two arguments": (
        "hook's arguments",
        wrong_05b_two_arguments,
    ),
    "on the gate": ("before the activation", wrong_05b_gate),
    "hooks detach": ("cut off", wrong_05b_detached),
    "nothing to train": ("no parameter", wrong_05b_plain_tensors),
}

# ---- 05c: scaled_output and scaled_input -----------------------------


def solution_05c_scaled_output(W, b, scale):
    new = scale[:, None] * W  # (out, in)
    return new, None if b is None else scale * b


def solution_05c_scaled_input(W, b, scale):
    return W * scale[None, :], b  # (out, in)


def variant_05c_scaled_output(W, b, scale):
    return torch.diag(scale) @ W, b if b is None else b * scale


def variant_05c_scaled_input(W, b, scale):
    return W @ torch.diag(scale), b


def wrong_05c_columns(W, b, scale):
    return W * scale, b * scale


def wrong_05c_bias_forgotten(W, b, scale):
    return W * scale[:, None], b


def wrong_05c_rows(W, b, scale):
    return W * scale[:, None], b


def wrong_05c_bias_scaled(W, b, scale):
    return W * scale, b * scale


def wrong_05c_no_none(W, b, scale):
    return W * scale[:, None], b * scale


def wrong_05c_truth(W, b, scale):
    return W * scale[:, None], b * scale if b else None


def wrong_05c_matmul(W, b, scale):
    return W @ scale, b * scale


def wrong_05c_upright_bias(W, b, scale):
    return W * scale[:, None], scale[:, None] * b


def wrong_05c_in_place(W, b, scale):
    W *= scale[:, None]
    return W, b * scale


def wrong_05c_divides(W, b, scale):
    return W / scale, b


_OUT, _IN = solution_05c_scaled_output, solution_05c_scaled_input
VARIANTS_05C = {
    "with diagonal matrices": (
        variant_05c_scaled_output,
        variant_05c_scaled_input,
    )
}
WRONG_05C = {
    "columns for rows": ("columns for rows", (wrong_05c_columns, _IN)),
    "bias forgotten": (
        "bias forgotten",
        (wrong_05c_bias_forgotten, _IN),
    ),
    "rows for columns": ("rows for columns", (_OUT, wrong_05c_rows)),
    "bias of down scaled": (
        "bias scaled",
        (_OUT, wrong_05c_bias_scaled),
    ),
    "swapped": ("all swapped", (_IN, _OUT)),
    "stops without a bias": (
        "no bias at all",
        (wrong_05c_no_none, _IN),
    ),
    "if b": ("truth of a tensor", (wrong_05c_truth, _IN)),
    "W @ scale": ("shape", (wrong_05c_matmul, _IN)),
    "bias made a matrix": ("shape", (wrong_05c_upright_bias, _IN)),
    "in place": ("changed input", (wrong_05c_in_place, _IN)),
    "divides": ("divided", (_OUT, wrong_05c_divides)),
}
