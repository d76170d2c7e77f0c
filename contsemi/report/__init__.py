"""What a run shows and writes: screen, figures, pages and comparison. It knows no engine.

Nothing here imports torch: a finished run is redrawn and compared from its files alone, by
``python -m contsemi.report RUN [RUN ...]``. A figure is one file in :mod:`.figures`, drawn by
matplotlib alone; a page is a template in :mod:`.pages`, in which the same drawings stand.
"""
