"""``python -m contsemi.benchmark FILE --output FOLDER [key=value ...]``."""

from contsemi.report.door import as_process, command

main = command("benchmark")


if __name__ == "__main__":
    as_process(main)
