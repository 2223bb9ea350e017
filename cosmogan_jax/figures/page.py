"""One self-contained HTML page: nothing is fetched, every figure is inside; for paper and phones too."""

import base64
import html
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:1.5rem auto;padding:0 1rem;
color:#222}
img{max-width:100%;height:auto}h1{line-height:1.2}h2{margin-top:2.2rem;border-bottom:1px solid #ccc}
figure{margin:0}figcaption{font-size:.9rem}.table{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;margin:.6rem 0}
td,th{border-bottom:1px solid #ccc;padding:.15rem .6rem;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}
.pass::before{content:"\\2713  "}.fail::before{content:"\\2717  "}.undecided::before{content:"?  "}
.pass,.fail,.undecided{font-weight:600}.fail{background:#fbe3d6}.pass{background:#e3f1ea}
@media print{body{font-size:10pt;max-width:none}h2,figure,tr{break-inside:avoid}a{color:inherit}}"""


class Table(NamedTuple):
    """Rows of text under a head; marks are CSS classes of the rows' last cells, "" for none."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    marks: tuple[str, ...] = ()


class Section(NamedTuple):
    """A heading with what stands under it, in this order: text, figure, tables.

    number: of the figure in the paper, where it has one.
    """

    title: str
    text: tuple[str, ...] = ()
    figure: Figure | None = None
    tables: tuple[Table, ...] = ()
    number: str = ""


def render(title: str, intro: Iterable[str], sections: Iterable[Section], images: dict[str, Path]) -> str:
    """The page. All text is escaped; the PNG file of a section's figure, by its title, goes inside."""
    parts = [f"<h1>{html.escape(title)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in intro)]
    for section in sections:
        heading = f"{section.number}: {section.title}" if section.number else section.title
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        if section.figure is not None:
            caption = "".join(f"<p>{html.escape(line)}</p>" for line in section.text)
            parts.append(
                f"<figure><img alt='{html.escape(heading)}' src='{_inline(images[section.title])}'>"
                f"<figcaption>{caption}</figcaption></figure>"
            )
        else:
            parts += [f"<p>{html.escape(line)}</p>" for line in section.text]
        parts += [_table(table) for table in section.tables]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def links(names: Iterable[tuple[str, str]]) -> str:
    """Links to files beside the page, as HTML to go before </body>."""
    items = "".join(f"<li><a href='{html.escape(path)}'>{html.escape(said)}</a></li>" for said, path in names)
    return f"<h2>Files</h2><ul>{items}</ul>"


def _inline(image: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()


def _table(table: Table) -> str:
    def line(tag: str, cells: tuple[str, ...], mark: str = "") -> str:
        last = len(cells) - 1
        return (
            "<tr>"
            + "".join(
                f"<{tag}{f' class={mark!r}' if mark and i == last else ''}>{html.escape(cell)}</{tag}>"
                for i, cell in enumerate(cells)
            )
            + "</tr>"
        )

    marks = table.marks or ("",) * len(table.rows)
    body = "".join(line("td", row, mark) for row, mark in zip(table.rows, marks))
    return f"<div class='table'><table>{line('th', table.head)}{body}</table></div>"
