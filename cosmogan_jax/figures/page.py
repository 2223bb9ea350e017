"""One self-contained HTML page: nothing is fetched, every figure is inside."""

import base64
import html
import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:1.5rem auto;padding:0 1rem}
img{max-width:100%;height:auto}table{border-collapse:collapse;font-size:.85rem;display:block;overflow-x:auto}
td,th{border-bottom:1px solid #ccc;padding:.15rem .6rem;text-align:right}
th:first-child,td:first-child{text-align:left}"""


def render(title: str, tables: dict[str, Any], figures: dict[str, Figure], stages: dict[str, Any]) -> str:
    """The page: what was compared, figures, power ratios, settings and cost of every stage."""
    edges, ratio = np.array(tables["l_edges"]), tables["power_ratio"]
    boxes, redshift = tables["validation_boxes"], tables["source_redshift"]
    independent = (
        "how many of them are independent is not known"
        if boxes is None
        else f"{boxes} independent boxes or regions"
    )
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{tables['num_generated']} generated maps against {tables['num_validation']} validation crops "
        f"from {tables['validation_parent_maps']} parent maps ({independent}); "
        f"{tables['num_pixels']}² pixels, {tables['side_deg']:.4g}° wide, source redshift "
        f"{'not known' if redshift is None else format(redshift, 'g')}. Bands show mean ± σ over maps. "
        "Crops of one map are not independent.</p>",
    ]
    for name, figure in figures.items():
        parts.append(f"<h2>{html.escape(name)}</h2><img alt='{html.escape(name)}' src='{_inline(figure)}'>")
        if name == "Power spectrum":
            rows = [(f"{a:.0f} – {b:.0f}", f"{r:.3f}") for a, b, r in zip(edges, edges[1:], ratio) if r]
            parts.append(_rows(("ℓ", "mean power, generated / validation"), rows))
    parts.append("<h2>Cost and settings</h2>")
    cost = [(name, f"{r['seconds']:.1f}", r["finished"]) for name, r in stages.items()]
    parts.append(_rows(("stage", "seconds (last run of it)", "finished"), cost))
    last = list(stages.values())[-1]
    parts.append(_rows(("flag", "value"), [(k, str(v)) for k, v in sorted(last["flags"].items())]))
    parts.append(_rows(("package", "version"), [*last["versions"].items(), ("commit", str(last["commit"]))]))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _inline(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line("th", head) + "".join(line("td", row) for row in rows) + "</table>"
