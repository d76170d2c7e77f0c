"""Settings of a method chosen without a look at the test images that are then reported.

Two rules::

    python -m contsemi.tune scenario=cifar100_mini method=contsemi data.root=FOLDER --rule other
        --trials 6 --budget 2 --seeds 0,1,2 --output FOLDER

``other`` tries settings on other classes of the same data set, of which there are as many, and with
seeds that are not reported; ``first`` on the first task alone, where a share of its label budget is
taken out of training and tested on. Then each seed is run once with what was chosen.

Sources: Cha and Cho 2025, "Hyperparameters in continual learning: a reality check" (tune on one
scenario, report another); Lee et al. 2024 (tune on the first task).
"""
