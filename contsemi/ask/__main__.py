"""``python -m contsemi.ask MODEL PHOTOS --budget N``."""

from contsemi.report.door import as_process, command

main = command("ask")


if __name__ == "__main__":
    as_process(main)
