"""What starting costs: imports against ``import torch``, and what the command answers at once.

Each round starts one process for each line, one after the other, with a warm disk; the times are
those of whole processes, Python's own start included, as a user waits for them.

    python scripts/bench_startup.py --rounds 5
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

from measuring import alternate, machine, show, spread

HEAVY = ("numpy", "torch", "torchvision", "hydra", "avalanche", "faiss", "matplotlib", "sklearn")
RUN = "import sys; from contsemi.run import main; main({words!r})"
PROGRAMS = {
    "import torch": "import torch",
    "import contsemi": "import contsemi",
    "import contsemi.pipeline": "import contsemi.pipeline",
    "import contsemi.strategies": "import contsemi.strategies",
    "contsemi.run --help": RUN.format(words=["--help"]),
    "contsemi.run label_ratoi=5%": RUN.format(words=["label_ratoi=5%"]),
    "contsemi.run data.root=nowhere": RUN.format(
        words=["scenario=cifar100_mini", "data.root=nowhere", "output=never-made"]
    ),
    "import contsemi.report": "import contsemi.report",
}
TELL = """
import resource, sys
print('|', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, *sys.modules)
"""


def starter(program: str) -> Callable[[], str]:
    """Starts a process for a program and gives what it wrote."""
    # compiled modules are kept, as those of installed packages are
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def start() -> str:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        return done.stdout

    return start


def main() -> None:
    """Time all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes a line")
    given = parser.parse_args()
    times = alternate([starter(program) for program in PROGRAMS.values()], given.rounds)
    rows = []
    for (name, program), mine in zip(PROGRAMS.items(), times, strict=True):
        size, *modules = starter(program + TELL)().rpartition("|")[2].split()
        loaded = ", ".join(each for each in HEAVY if each in modules) or "none"
        more = spread([a - b for a, b in zip(mine, times[0], strict=True)], 2)
        rows.append((f"`{name}`", spread(mine, 2), more, size, loaded))
    print(machine(len(os.sched_getaffinity(0))))
    head = ("", "seconds", "more than `import torch`", "MiB", "heavy modules that it loads")
    show(f"Whole processes, {given.rounds} rounds:", head, rows)


if __name__ == "__main__":
    main()
