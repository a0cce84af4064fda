"""Muon: momentum whose update is orthogonalised, for the hidden matrices of a transformer.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks" (the quintic
Newton-Schulz iteration and its coefficients). `torch.optim.Muon` iterates in bfloat16, one matrix
at a time; this one iterates in float32 and stacks matrices of one shape, which is faster on a CPU.
"""

from collections import defaultdict

import torch


def orthogonalise(update, iterations=5):
    """The nearest semi-orthogonal matrices to `update` (n, rows, columns), roughly.

    After five iterations the singular values lie between about 0.7 and 1.2, which is all that
    the optimiser needs.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = update.shape[1] > update.shape[2]
    x = update.mT if tall else update  # (n, r, k), r <= k
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT  # (n, r, r)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for a list of matrices; `lr` is a step in units of the spectral norm."""

    def __init__(self, parameters, lr=0.02, momentum=0.95):
        super().__init__(parameters, dict(lr=lr, momentum=momentum))
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        f"Muon is for matrices; got a tensor of shape {tuple(p.shape)}"
                    )

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = defaultdict(list)
            for p in group["params"]:
                shapes[p.shape].append(p)
            for (rows, columns), members in shapes.items():
                gradient = torch.stack([p.grad for p in members])  # (n, rows, columns)
                for p in members:
                    self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer = torch.stack([self.state[p]["momentum"] for p in members])
                buffer = group["momentum"] * buffer + gradient
                update = orthogonalise(gradient + group["momentum"] * buffer)  # Nesterov
                scale = group["lr"] * max(1, rows / columns) ** 0.5
                for p, m, u in zip(members, buffer, update, strict=True):
                    self.state[p]["momentum"].copy_(m)
                    p.sub_(u, alpha=scale)
