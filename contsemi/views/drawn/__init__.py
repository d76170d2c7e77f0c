"""Further operations on views: one file each, ``views.drawn=[NAME,...]``."""
