"""``python -m contsemi.predict RUN FILE|FOLDER|-``."""

from contsemi.report.door import as_process, command

main = command("predict")


if __name__ == "__main__":
    as_process(main)
