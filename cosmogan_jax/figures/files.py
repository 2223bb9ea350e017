"""Figures as files. Each is laid out once and drawn once a file: `savefig` draws everything twice."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

_DPI = 110


def write_png(figure: Figure, path: Path) -> None:
    """Lay the figure out and write it as a PNG file."""
    figure.set_dpi(_DPI)
    FigureCanvasAgg(figure).print_png(path)


def write_png_and_pdf(figure: Figure, path: Path) -> None:
    """Write <path>.png and <path>.pdf, of one layout: most of a figure's time is its layout."""
    write_png(figure, path.with_name(f"{path.name}.png"))
    figure.set_layout_engine("none")
    figure.set_dpi(72)  # the PDF's own unit
    FigureCanvasPdf(figure).print_pdf(path.with_name(f"{path.name}.pdf"))
