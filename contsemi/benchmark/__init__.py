"""Methods times seeds on one scenario: same labels, order, epochs and bytes; then the table.

A benchmark is a YAML file: settings that all runs share, label budgets, seeds, and for each method
its own settings. Every run is a process of its own; a run that is finished is not repeated, one
that was interrupted goes on, so the same command can be given again at any time::

    python -m contsemi.benchmark scripts/cifar100_mini.yaml --output bench data.root=FOLDER
"""
