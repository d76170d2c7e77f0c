"""DER++: dark experience replay with the labels of the replayed images."""

from contsemi.strategies.baselines.der import Der


class DerPlusPlus(Der):
    """Avalanche's DER with a cross-entropy on the memory (Buzzega et al. 2020)."""
