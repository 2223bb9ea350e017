"""Sphinx makes the API pages from the docstrings: sphinx-build -W experiments/api <folder>."""

import pkgutil
import re
import sys
import textwrap
import typing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
typing.GENERATING_DOCUMENTATION = "cosmogan_jax"  # jaxtyping then shows shapes as they are written

from docutils import nodes  # noqa: E402
from sphinx.util.docutils import SphinxDirective  # noqa: E402

import cosmogan_jax  # noqa: E402

project, author = "cosmogan_jax", "the authors of cosmogan_jax"
release = version = cosmogan_jax.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "description": "An emulator of weak-lensing convergence maps"}
html_copy_source = False
default_role = "code"  # single backticks name code
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
napoleon_use_rtype = False


class Package(SphinxDirective):
    """`.. package:: name` documents every module of a package, so that none is forgotten."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        folder = Path(cosmogan_jax.__file__).parents[1].joinpath(*name.split("."))
        modules = sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.ispkg)
        lines = [f".. automodule:: {name}", "   :members:", "   :ignore-module-all:", ""]
        for module in (f"{name}.{each}" for each in modules):
            lines += [module, "-" * len(module), "", f".. automodule:: {module}", "   :members:", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
_FIELD = re.compile(r"([a-z]\w*(?:, [a-z]\w*)*): (.*)")


def as_restructured_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text: equations, tables and lists of fields are laid out as their indents say."""
    out: list[str] = []
    in_section = False
    for paragraph in "\n".join(lines).split("\n\n"):
        block = paragraph.split("\n")
        first = next((line for line in block if line.strip()), "")
        in_section = bool(_SECTION.match(first)) or (in_section and first.startswith("  "))
        aligned = any(re.search(r"\S {2,}\S", line) for line in block)
        if not in_section and (aligned or first.startswith("    ")):
            out += [".. code-block:: text", "", *("    " + line for line in block), ""]
        elif what == "class" and (first == "Attributes:" or not in_section) and _fields(block):
            out += ["", *_fields(block), ""]
        else:
            out += [*map(_plain, block), ""]
    lines[:] = out


def _fields(block: list[str]) -> list[str]:
    """Lines `name: what it is`, indented or not, as a list; nothing where there is none."""
    under_head = block[0] == "Attributes:"
    lines = textwrap.dedent("\n".join(block[under_head:])).split("\n")
    if not any(_FIELD.match(line) for line in lines):
        return []
    out: list[str] = []
    for line in lines:
        field = _FIELD.match(line)
        if field:
            out += ["", f"* ``{field[1]}``: {_plain(field[2])}"]
        else:
            out.append(_plain("  " + line.strip() if out and out[-1].startswith(("* ", "  ")) else line))
    return out


def _plain(line: str) -> str:
    """Bars are bars, outside of code."""
    return "`".join(
        part.replace("|", r"\|") if even % 2 == 0 else part for even, part in enumerate(line.split("`"))
    )


def skip_aliases(app, what, name, obj, skip: bool, options) -> bool | None:
    """Fields of named tuples say no more than their class does."""
    return True if (obj.__doc__ or "").startswith("Alias for field number") else None


def setup(app) -> None:
    app.connect("autodoc-skip-member", skip_aliases)
    app.add_directive("package", Package)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
