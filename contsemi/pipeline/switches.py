"""The quirks of official codes that a run may have switched on."""

from contsemi.config import Config
from contsemi.discovery import parts_of


def switches(config: Config) -> list[str]:
    """The quirks of official codes that this run has switched on, on which its numbers rest."""
    found = {
        "model.padding=2": config.model.get("padding") == 2,
        "objective.predict_by=classifier": config.objective.get("predict_by") == "classifier",
        "distiller.supports=current": any(
            each.get("supports") == "current" for each in parts_of(config.distiller).values()
        ),
        "optim.freeze_batch_norm=true": config.optim.freeze_batch_norm,
        "optim.adapt_shortcut_norms=true": config.optim.adapt_shortcut_norms,
        "objective.mix_weight=views": (
            config.objective.get("mix_weight") == "views" and config.objective["mix_large"]
        ),
        f"scenario.unlabelled_share={config.scenario.unlabelled_share:g}": (
            config.scenario.unlabelled_share < 1
        ),
    }
    return [switch for switch, on in found.items() if on]
