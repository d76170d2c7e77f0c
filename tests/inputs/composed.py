"""Imported by a warm parent: what Hydra composes is composed once, and children find it made.

Only time is saved: the very function of the front makes it, and the full suite goes without.
"""

import functools

from contsemi.compose import groups

compose = functools.cache(groups.compose)
groups.compose = lambda words: compose(tuple(words)).copy()
groups.compose(())
groups.compose(("scenario=image_folder",))
