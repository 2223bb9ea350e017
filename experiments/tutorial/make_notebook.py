"""Makes tutorial.ipynb from tutorial.py: the same code in cells, without outputs.

    python experiments/tutorial/make_notebook.py

A cell for the imports and constants, one for each function and class, and one for each numbered step of `run`,
whose comment stands above it as text. The same script makes the same bytes; tests/test_guides.py compares.
"""

import ast
import itertools
import json
import re
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = "runs/tutorial"
PICTURE = f"![Map, derivatives of its power, Minkowski functionals, mock beside maps.]({FOLDER}/tutorial.png)"


def notebook(source: str) -> str:
    """The notebook's text, nbformat 4."""
    tree, lines = ast.parse(source), source.splitlines()

    def text_of(first: ast.stmt, last: ast.stmt) -> str:
        begin = min([first.lineno, *(one.lineno for one in getattr(first, "decorator_list", []))])
        return "\n".join(lines[begin - 1 : last.end_lineno])

    about, *rest = tree.body
    named = {one.name: one for one in rest if isinstance(one, ast.FunctionDef | ast.ClassDef)}
    run, main = named.pop("run"), named.pop("main")
    plain = [one for one in rest if isinstance(one, ast.Import | ast.ImportFrom | ast.Assign)]
    title, *_ = ast.literal_eval(about.value).strip().split("\n\n")
    imports = text_of(plain[0], plain[-1]).replace("import sys\n", "")  # a notebook takes no arguments
    cells = [_text(f"# {title}"), _code(imports), _text("## What the steps are made of")]
    cells += [_code(text_of(one, one)) for one in named.values()]

    # The body of `run` but for its docstring and its return, in steps that begin with comments "# 1. ...".
    _, make_folder, *_, _ = run.body
    body = textwrap.dedent("\n".join(lines[make_folder.lineno - 1 : run.body[-1].lineno - 1]))
    first, *steps = re.split(r"(?m)^(?=# \d\. )", body)
    cells.append(_code(f'{run.args.args[0].arg} = Path("{FOLDER}")\n{first}'))
    for step in steps:
        said = list(itertools.takewhile(lambda line: line.startswith("#"), step.splitlines()))
        # The first sentence is the heading; another, after the number's point, follows as text.
        heading = re.sub(r"(?<=[a-z][.?]) ", "\n\n", " ".join(line.lstrip("# ") for line in said), count=1)
        cells.append(_text(f"## {heading}"))
        cells.append(_code("\n".join(step.splitlines()[len(said) :])))
    cells.append(_text(f"{PICTURE}\n\n## The numbers"))
    told = textwrap.dedent("\n".join(lines[main.lineno : main.end_lineno]))
    cells.append(_code(told.replace(f"found = run({main.args.args[0].arg})", "found = findings")))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": [dict(sorted(cell.items())) for cell in cells],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _text(source: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(source)}


def _code(source: str) -> dict:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": _lines(source),
    }


def _lines(source: str) -> list[str]:
    return source.strip("\n").splitlines(keepends=True)


if __name__ == "__main__":
    (HERE / "tutorial.ipynb").write_text(notebook((HERE / "tutorial.py").read_text()))
