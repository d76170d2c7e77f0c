"""Makes the pictures of the documentation: one default run, looked at every five steps.

Looking changes nothing: they are the pictures of ``python -m contsemi.run``, and the curve inside
tasks besides. A minute or two on a CPU.

    python scripts/pictures.py
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = ("forgetting.png", "stability.png", "embeddings.png")


def main() -> None:
    """Train, and copy what the run drew."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "run")
        words = ["evaluate.every_steps=5", "evaluate.images=0", f"output={output}"]
        subprocess.run([sys.executable, "-m", "contsemi.run", *words], check=True)
        for name in PICTURES:
            shutil.copyfile(output / name, DOCS / name)


if __name__ == "__main__":
    main()
