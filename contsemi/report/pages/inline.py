"""Matplotlib's SVG inside a page: its colours follow the reader's scheme, its names are its own."""

import re

from markupsafe import Markup, escape

from contsemi.report.figures.palette import in_the_dark


def inline(svg: bytes, name: str, label: str) -> Markup:
    """One drawing as an element of a page that may be light or dark.

    Args:
        svg: a whole file as matplotlib writes it, with its text as text.
        name: unique on the page; names inside the drawing begin with it.
        label: what it shows, for those who do not see it.
    """
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    # A face that the reader has; matplotlib measured with one that is at least as wide.
    text = re.sub(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1system-ui", text)
    dark: dict[str, str] = {}

    def follow(match: re.Match[str]) -> str:
        colour = match[1].lower()
        dark[colour] = in_the_dark(colour)
        return f": var(--d{colour[1:]},{colour})"

    text = re.sub(r": (#[0-9a-fA-F]{6})\b", follow, text)
    # Matplotlib leaves out what SVG takes for granted: black.
    dark["#000000"] = in_the_dark("#1b1b1b")
    rules = "".join(f"--d{colour[1:]}:{value};" for colour, value in sorted(dark.items()))
    style = f"<style>@media(prefers-color-scheme:dark){{:root{{{rules}}}}}</style>"
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    body = text[text.index(">") + 1 :]
    return Markup(f'<svg {box[0]} role="img" aria-label="{escape(label)}">{style}{body}')
