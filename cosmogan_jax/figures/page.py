"""One self-contained HTML page: nothing is fetched, every figure is inside; for paper and phones too."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # tables are made without it
    from matplotlib.figure import Figure

_WIDE = 4  # columns, from which on a table does not fit a phone
_MANY = 13  # and from which on it hardly fits a page

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:1.5rem auto;padding:0 1rem;
color:#222}
img{max-width:100%;height:auto}h1{line-height:1.2}h2{margin-top:2.2rem;border-bottom:1px solid #ccc}
figure{margin:0}figcaption{font-size:.9rem}.table{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;margin:.6rem 0}
td,th{border-bottom:1px solid #ccc;padding:.15rem .6rem;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}
.many{font-size:.75rem}.many td,.many th{padding:.15rem .3rem}
.pass::after{content:"  \\2713"}.fail::after{content:"  \\2717"}.undecided::after{content:"  ?"}
.pass,.fail,.undecided{font-weight:600;min-width:8rem}.outcome{padding:.5rem .8rem;border-left:.3rem solid #888}
.fail{background:#fbe3d6}.pass{background:#e3f1ea}
@media (max-width:40rem){.wide tr:first-child{display:none}.wide tr{display:block;border-bottom:2px solid #888;
padding:.3rem 0}.wide td{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid #eee}
.wide td::before{content:attr(data-head);color:#555;text-align:left}.wide td:empty{display:none}
.wide td:first-child{font-weight:600}.wide td:first-child::before{content:""}}
@media print{body{font-size:10pt;max-width:none}h2,figure,tr{break-inside:avoid}a{color:inherit}}"""


class Table(NamedTuple):
    """Rows of text under a head; marks are CSS classes of the rows' last cells, "" for none.

    links: where the rows' first cells lead. summary: a line under which the table is folded away.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    marks: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    summary: str = ""


class Section(NamedTuple):
    """A heading with what stands under it, in this order: text, figure, tables.

    number: of the figure in the paper, where it has one. anchor: what links lead here by.
    """

    title: str
    text: tuple[str, ...] = ()
    figure: "Figure | None" = None
    tables: tuple[Table, ...] = ()
    number: str = ""
    anchor: str = ""


def render(
    title: str,
    outcome: tuple[str, str],
    intro: Iterable[str],
    sections: Iterable[Section],
    images: dict[str, Path],
) -> str:
    """Return the page. All text is escaped; the PNG file of a section's figure, by its title, goes inside.

    outcome: the first line, and its mark.
    """
    line, mark = outcome
    first = f"<p class='outcome {mark}'>{html.escape(line)}</p>"
    parts = [f"<h1>{html.escape(title)}</h1>", first, *(f"<p>{html.escape(line)}</p>" for line in intro)]
    for section in sections:
        heading = f"{section.number}: {section.title}" if section.number else section.title
        anchor = f" id='{html.escape(section.anchor)}'" if section.anchor else ""
        parts.append(f"<h2{anchor}>{html.escape(heading)}</h2>")
        if section.figure is not None:
            caption = "".join(f"<p>{html.escape(line)}</p>" for line in section.text)
            parts.append(
                f"<figure><img alt='{html.escape(heading)}' src='{_inline(images[section.title])}'>"
                f"<figcaption>{caption}</figcaption></figure>"
            )
        else:
            parts += map(paragraph, section.text)
        parts += map(table, section.tables)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def links(files: Iterable[tuple[str, str]]) -> str:
    """Return links to files beside the page, (text, path), as HTML to go before </body>."""
    items = "".join(f"<li><a href='{html.escape(path)}'>{html.escape(text)}</a></li>" for text, path in files)
    return f"<h2>Files</h2><ul>{items}</ul>"


def _inline(image: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()


def paragraph(text: str) -> str:
    """Return text as HTML."""
    return f"<p>{html.escape(text)}</p>"


def table(table: Table) -> str:
    """Return a table as HTML; every cell knows its head: a phone shows a row of a wide table as a list."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
    rows = []
    none = ("",) * len(table.rows)
    for row, mark, link in zip(table.rows, table.marks or none, table.links or none):
        marked = [""] * (len(row) - 1) + [f" class='{mark}'" if mark else ""]
        shown = [html.escape(cell) for cell in row]
        if link:
            shown[0] = f"<a href='{html.escape(link)}'>{shown[0]}</a>"
        cells = zip(shown, table.head, marked)
        rows.append("".join(f"<td data-head='{html.escape(h)}'{m}>{cell}</td>" for cell, h, m in cells))
    body = "".join(f"<tr>{line}</tr>" for line in [head, *rows])
    columns = len(table.head)
    wide = f" class='wide{' many' * (columns >= _MANY)}'" if columns >= _WIDE else ""
    whole = f"<div class='table'><table{wide}>{body}</table></div>"
    return (
        f"<details><summary>{html.escape(table.summary)}</summary>{whole}</details>" if table.summary else whole
    )
