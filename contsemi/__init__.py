"""contsemi: continual semi-supervised learning of image classifiers."""

__version__ = "0.1.0"
