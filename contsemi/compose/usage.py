"""The text of ``--help``, made of the schema and of the YAML files there are."""

from textwrap import fill

from contsemi.compose import groups, schema
from contsemi.config import Config
from contsemi.discovery import ROOMS, SEVERAL, TOGETHER

_HEAD = """\
Continual semi-supervised learning: tasks come one after another, with many images and few labels.

  python -m contsemi.run [key=value ...]         one run; without arguments, digits on the CPU
  python -m contsemi.run -m key=a,b [key=c,d]    one run for every combination
  python -m contsemi.run --cfg job [key=value]   print the configuration, run nothing
  python -m contsemi.run --version
"""
_TAIL = """
Examples
  python -m contsemi.run method=suave label_ratio=5% seed=1
  python -m contsemi.run scenario=cifar100_10tasks label_ratio=0.8% data.root=FOLDER
  python -m contsemi.run scenario=image_folder data.root=FOLDER label_ratio=4/class
  python -m contsemi.run distiller=[nnd,projected] distiller.projected.weights.projected=0.5
  python -m contsemi.run -m label_ratio=5%,20% seed=0,1

The same command goes on where it was interrupted; Avalanche's strategies start anew.
Exit codes: 0 done, 2 wrong input, 3 diverged, 4 saved state damaged, 5 storage failed,
6 device out of memory, 7 another process of the run is gone, 8 a method's own code is at fault,
130/143 interrupted, 1 a bug."""


def text() -> str:
    """The whole help text."""
    choices = {name: found for name, found in groups.choices().items() if found}
    lines = [_HEAD, "Choices, each a YAML file under conf/ or scenarios/"]
    order = ["scenario", "method", *(g for g in choices if g not in ("scenario", "method"))]
    lines += [_row(f"{g}=", _names(g, choices[g])) for g in order if g in choices]
    lines += ["", "Keys"]
    for key, field in Config.model_fields.items():
        inside = [path for path, _, _ in schema.fields() if path.startswith(f"{key}.")]
        if not inside and key not in choices:
            expected = schema.expected(field)
            kind = f" ({expected})" if expected not in ("a value", field.description) else ""
            lines.append(_row(f"{key}=", f"{field.description}{kind}"))
    lines += ["", "Keys of sections; --cfg job shows their values, a wrong value names its range"]
    for key in Config.model_fields:
        leaves = [
            path.removeprefix(f"{key}.")
            for path, _, section in schema.fields()
            if path.startswith(f"{key}.") and not section and path not in choices
        ]
        if leaves:
            lines.append(_row(f"{key}.", _short(leaves)))
    others = ", ".join(f"{group}." for group in ROOMS if group != "objective")
    lines.append(_row("objective.", f"and {others}: the keys of the chosen YAML file"))
    return "\n".join(lines) + "\n" + _TAIL


def _names(group: str, names: list[str]) -> str:
    if group in SEVERAL:
        return f"[{', '.join(names)}], any number of them"
    several = f"; several as [{','.join(names[:2])}]" if group in TOGETHER else ""
    return ", ".join(names) + several


def _short(leaves: list[str]) -> str:
    """Keys of a section within a section as ``large.{size, scale}``, alike ones together."""
    sections: dict[str, list[str]] = {}
    for leaf in leaves:
        head, _, tail = leaf.partition(".")
        sections.setdefault(head, []).append(tail)
    return ", ".join(f"{head}.*" if tails != [""] else head for head, tails in sections.items())


def _row(name: str, meaning: str) -> str:
    """A line of at most 100 columns with a hanging indent."""
    return fill(
        f"  {name:<16}{meaning}",
        width=99,
        subsequent_indent=" " * 18,
        break_long_words=False,
        break_on_hyphens=False,
    )
