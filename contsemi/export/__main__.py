"""``python -m contsemi.export RUN FOLDER --to onnx|torch``."""

from contsemi.report.door import as_process, command

main = command("export")


if __name__ == "__main__":
    as_process(main)
