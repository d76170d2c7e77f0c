"""The templates of the pages; all text in them is escaped unless it was made here."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from contsemi.report.words import duration, one_line, percent, rate, size


def fill(template: str, **content: Any) -> bytes:
    """A whole page that needs no network and no other file.

    Args:
        template: a file in ``templates/``.
        content: what stands in it; foreign text loses its control characters and is escaped.
    """
    text = _environment().get_template(template).render(**content)
    return text.encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("contsemi.report.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_told,
    )
    made.filters |= {"percent": percent, "duration": duration, "size": size, "rate": rate}
    made.filters |= {"lines": _lines, "words": lambda name: str(name).replace("_", " ")}
    return made


def _told(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """Foreign text whose lines stay."""
    return Markup("\n").join(escape(line) for line in text.splitlines())
