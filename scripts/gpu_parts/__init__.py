"""The parts of ``scripts/gpu_check.py``: each module has ``check(device, quick)``."""
