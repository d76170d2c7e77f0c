"""Shards: tar files of encoded images in WebDataset's layout, ``KEY.jpg`` beside ``KEY.cls``."""
