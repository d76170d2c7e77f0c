"""What there is, and that the switches of a run reach it."""

import torch

from gpu_parts.common import Found


def check(device: str, quick: bool) -> Found:
    """Versions, the chip, and that fp32 means fp32."""
    from contsemi.devices.precision import choose_precision, set_deterministic

    chip = torch.device(device)
    capability = torch.cuda.get_device_capability(chip)
    free, total = torch.cuda.mem_get_info(chip)
    text = f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN "
    text += f"{torch.backends.cudnn.version()}, {torch.cuda.get_device_name(chip)}"
    numbers = {
        "capability": capability[0] + capability[1] / 10,
        "GiB free": free / 2**30,
        "GiB": total / 2**30,
    }
    yield "versions", None, text, numbers
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(512, 512, generator=draw)
    exact, there = rows.double() @ rows.double().T, rows.to(device)
    wrong = {}
    for name in ("tf32", "fp32"):
        choose_precision(name, chip)
        wrong[name] = float(((there @ there.T).double().cpu() - exact).abs().max())
    yield "fp32 products have float32's digits", wrong["fp32"] < 1e-3, "", wrong
    chosen = str(choose_precision("auto", chip))
    yield "precision=auto", None, chosen, {}
    set_deterministic(True)
    places = torch.zeros(1000, dtype=torch.int64, device=device)
    values = torch.rand(1000, device=device)
    sums = [torch.zeros(1, device=device).index_add_(0, places, values).item() for _ in range(5)]
    yield "deterministic=true gives one sum", len(set(sums)) == 1, "", {"sums": len(set(sums))}
    set_deterministic(False)
