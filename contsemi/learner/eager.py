"""torch's optimisers without the switches of ``torch.compile``.

Those import the whole compiler at the first optimiser that a process makes, which takes as long as
torch itself, and cost each step about as much as moving the parameters of a small network. No
optimiser is compiled here; what is computed is torch's own.
"""

import inspect

import torch


class Eager(torch.optim.Optimizer):
    """An optimiser whose methods are torch's, as they were written."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)


class AdamW(Eager, torch.optim.AdamW):
    """torch's AdamW."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class SGD(Eager, torch.optim.SGD):
    """torch's SGD."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
