"""``python -m contsemi.tune scenario=NAME method=NAME [key=value ...] --output FOLDER``."""

from contsemi.report.door import as_process, command

main = command("tune")


if __name__ == "__main__":
    as_process(main)
