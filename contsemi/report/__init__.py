"""What a run shows and writes: console, records, curves, page and comparison. It knows no engine.

Nothing here imports torch: a finished run is redrawn and compared from its files alone, by
``python -m contsemi.report RUN [RUN ...]``.
"""
