"""``python -m contsemi.learn MODEL PHOTOS [key=value ...]``."""

from contsemi.report.door import as_process, command

main = command("learn")


if __name__ == "__main__":
    as_process(main)
