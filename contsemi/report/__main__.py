"""``python -m contsemi.report RUN [RUN ...]``: redraw one run, compare several, or follow one."""

from contsemi.report.door import as_process, command

main = command("report")


if __name__ == "__main__":
    as_process(main)
