"""What starting costs: imports against ``import torch``, and what the command answers at once.

Each round starts one process for each line, one after the other, with a warm disk; the times are
those of whole processes, Python's own start included, as a user waits for them.

The line "to its first step" is a whole small run up to its first optimiser step; ``--against`` adds
it for another checkout, in the same rounds. Processor seconds do not depend on what else the
machine does.

    python scripts/bench_startup.py --rounds 5 --against ../earlier
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from measuring import alternate, machine, show, spread

HERE = Path(__file__).resolve().parents[1]
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
used = resource.getrusage(resource.RUSAGE_SELF)
print('|', used.ru_maxrss >> 10, f"{used.ru_utime + used.ru_stime:.2f}", *sys.modules, flush=True)
"""
FIRST_STEP = """
import os, tempfile
try:
    from contsemi.learner.learner import Learner
except ModuleNotFoundError:  # of an earlier version
    from contsemi.engine.learner import Learner
def update(learner):
    {tell}
    os._exit(0)
Learner.update = update
from contsemi.run import main
main(["method=finetune", "threads=1", "device=cpu", "output=" + tempfile.mkdtemp()])
""".replace("{tell}", TELL.strip().replace("\n", "\n    "))


def starter(program: str, checkout: Path = HERE) -> Callable[[], str]:
    """Starts a process for a program, with the package of a checkout, and gives what it wrote."""
    # compiled modules are kept, as those of installed packages are
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = str(checkout)

    def start() -> str:
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=env, cwd=checkout
        )
        return done.stdout

    return start


def main() -> None:
    """Time all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes a line")
    parser.add_argument("--against", type=Path, help="another checkout, for the first step")
    given = parser.parse_args()
    first = "contsemi.run, to its first step"
    programs = {name: (program, HERE) for name, program in PROGRAMS.items()}
    programs[first] = (FIRST_STEP, HERE)
    if given.against:
        programs[f"{first}, {given.against.name}"] = (FIRST_STEP, given.against.resolve())
    times = alternate([starter(*each) for each in programs.values()], given.rounds)
    rows = []
    for (name, (program, checkout)), mine in zip(programs.items(), times, strict=True):
        told = [starter(program + TELL, checkout)() for _ in range(given.rounds)]
        size, _, *modules = told[0].rpartition("|")[2].split()
        processor = spread([float(each.rpartition("|")[2].split()[1]) for each in told], 2)
        loaded = ", ".join(each for each in HEAVY if each in modules) or "none"
        more = spread([a - b for a, b in zip(mine, times[0], strict=True)], 2)
        rows.append((f"`{name}`", spread(mine, 2), more, processor, size, loaded))
    print(machine(len(os.sched_getaffinity(0))))
    more = "more than `import torch`"
    head = ("", "seconds", more, "processor seconds", "MiB", "heavy modules that it loads")
    show(f"Whole processes, {given.rounds} rounds:", head, rows)


if __name__ == "__main__":
    main()
