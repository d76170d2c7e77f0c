"""The folder that a run writes to when none is given."""

import hashlib
import json
from pathlib import Path

from contsemi.config import Config
from contsemi.records.effects import with_effect


def run_name(config: Config) -> Path:
    """``outputs/<scenario>/<method>_<labels>_seed<seed>_<6 hex digits of all that matters>``.

    The same run has the same name however its command was written: ``0.8%``, ``0.008`` and
    ``1/125`` are one. So the same command finds the state it left.
    """
    from contsemi.labels.budget import LabelBudget

    budget = LabelBudget.parse(config.label_ratio)
    effects = ["numbers", "measured"]
    if config.scenario.dataset == "folder":  # other folders hold other images; CIFAR is CIFAR
        effects.append("images")
    rest = with_effect(config.model_dump(), *effects) | {"label_ratio": str(budget)}
    text = json.dumps(rest, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    labels = "per_task" if budget.per_task else str(budget)
    for sign, word in (("%", "pct"), ("/class", "perclass"), ("/", "of")):
        labels = labels.replace(sign, word)
    scenario = "".join(c if c.isalnum() or c in "-_." else "_" for c in config.scenario.name)
    folder = scenario.strip(".") or "scenario"
    return Path("outputs") / folder / f"{config.method}_{labels}_seed{config.seed}_{digest}"
