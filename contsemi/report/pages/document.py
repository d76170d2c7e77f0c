"""The frame and the style of every page: light and dark, narrow and wide, no network."""

__all__ = ["document"]

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1b1b;--soft:#595959;--line:#d9d9d9;
--heat:0 114 178}
@media(prefers-color-scheme:dark){:root{--paper:#141414;--ink:#ececec;--soft:#a8a8a8;
--line:#3c3c3c;--heat:40 140 205}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px;max-width:1120px;background:var(--paper);color:var(--ink);
font:16px/1.45 system-ui,sans-serif}
h1{font-size:1.35rem;margin:.2em 0;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.6em 0 .5em}
p{margin:.4em 0}.soft{color:var(--soft);font-size:.9rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:8px;padding:0}
.cards div{border:1px solid var(--line);border-radius:8px;padding:8px 12px}
.cards dt{color:var(--soft);font-size:.85rem}.cards dd{margin:0;font-size:1.5rem;font-weight:600}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem}
th,td{padding:4px 7px;text-align:right;white-space:nowrap}
@media(max-width:480px){th,td{padding:4px 5px}}
th{font-weight:600}th:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
table.summary th{white-space:normal}
thead th{border-bottom:1px solid var(--line)}tfoot th,tfoot td{border-top:1px solid var(--line)}
td.heat{background:rgb(var(--heat)/calc(var(--share)*.6))}
svg[role=img]{display:block;width:100%;max-width:640px;height:auto;color:var(--ink)}
svg[role=img] text{font:12.5px system-ui,sans-serif;fill:var(--soft)}
svg[role=img] text.task{fill:var(--ink)}svg[role=img] text.mean{fill:var(--ink);font-weight:700}
svg .grid{stroke:var(--line);stroke-width:.7}
@media(prefers-color-scheme:dark){svg[role=img] g:not([fill=currentColor]),
svg[role=img] line:not(.grid){filter:brightness(1.5)}}
figure{margin:1.2em 0}img{display:block;width:100%;min-width:600px;max-width:760px;height:auto;
background:#fff;border-radius:6px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:12px}
table.compared th:first-child{
white-space:normal;overflow-wrap:anywhere;min-width:9rem;max-width:24rem}
details{margin:.6em 0}summary{cursor:pointer;font-weight:600;padding:.3em 0}
pre{overflow-x:auto;border:1px solid var(--line);border-radius:8px;padding:12px;font-size:.8rem}
"""


def document(title: str, body: str, *, refresh: int | None = None) -> bytes:
    """A whole page.

    Args:
        title: escaped.
        body: HTML whose foreign text is escaped.
        refresh: seconds after which a browser loads it again; ``None`` for never.
    """
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n{again}'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n"
        "</html>\n"
    ).encode("utf-8", "replace")
