"""What users read first: README's length and Python, all links; the guides' scripts and the notebook run."""

import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import load_script

pytestmark = pytest.mark.usefixtures("quick")

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "experiments/guides/scripts"
TUTORIAL = ROOT / "experiments/tutorial"
PAGES = [ROOT / "README.md", ROOT / "BUILD.md", *sorted((ROOT / "experiments").rglob("*.md"))]
CODE = re.compile(r"^```.*?^```$|^ {4}[^\n]*$|`[^`\n]*`(?!\])", re.M | re.S)  # `of` a link's text stays


def test_sample_and_statistics(tmp_path, capsys):
    """One writes maps, the other reads one of them: its width is in the file."""
    load_script(SCRIPTS / "sample.py").main(str(tmp_path), "pm-zs1-64", "128")  # as README's: one program
    maps = np.load(tmp_path / "maps.npy")
    assert maps.shape == (16, 128, 128)
    capsys.readouterr()
    load_script(SCRIPTS / "statistics_of_my_map.py").main(str(tmp_path / "map.fits"))
    said = capsys.readouterr().out
    assert f"(128, 128) pixels, 1.75 degrees, sigma {maps[0].std():.5f}" in said
    assert len(re.findall(r"^ell .*", said, re.M)) == 8
    with pytest.raises(SystemExit, match="give their side in degrees"):
        load_script(SCRIPTS / "statistics_of_my_map.py").main(str(tmp_path / "maps.npy"))


def test_several_bins(tmp_path, capsys):
    """Files for other codes, of 3 bins: six pairs in 8 bands, and peaks; farther bins have more power."""
    load_script(SCRIPTS / "several_bins.py").main(str(tmp_path / "bins"), "", "16")
    table = np.loadtxt(tmp_path / "bins/power.txt")
    autos = table[table[:, 0] == table[:, 1]].reshape(3, -1, 7)[:, 0, 5]  # lowest ell, smoothed away least
    assert (np.diff(autos) > 0).all()
    covariance = np.loadtxt(tmp_path / "bins/covariance.txt")
    assert len(covariance) == len(table) + len(np.loadtxt(tmp_path / "bins/peaks.txt"))
    assert (tmp_path / "bins/correlation.png").is_file()
    assert f"{len(covariance)} numbers of 16 maps in 3 bins" in capsys.readouterr().out


def test_judge_two_sets(tmp_path, capsys):
    """Half more amplitude: the verdict says so."""
    rng = np.random.default_rng(3)
    for name, count, sigma in (("judged", 24, 0.03), ("real", 40, 0.02)):
        np.save(tmp_path / name, ((rng.gamma(4, size=(count, 16, 16)) - 4) / 2 * sigma).astype(np.float32))
    load_script(SCRIPTS / "judge_two_sets.py").main(
        str(tmp_path / "judged.npy"), str(tmp_path / "real.npy"), "0.5"
    )
    said = capsys.readouterr().out
    assert "fail (margins: default): differs in " in said
    assert re.search(r"\d+ of \d+ effects agree within their margins: fail", said)


def test_a_new_loss(capsys):
    load_script(SCRIPTS / "new_loss.py").main("3")
    steps = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if line[:4] == "step"]
    assert len(steps) == 3
    assert steps[-1] < 0.5 * steps[0]


def cells(kind):
    made = json.loads((TUTORIAL / "tutorial.ipynb").read_text())
    return ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == kind]


def test_the_notebook_is_the_tutorial(tmp_path, monkeypatch):
    """What its script makes of tutorial.py; and it runs, with fewer maps."""
    made = load_script(TUTORIAL / "make_notebook.py").notebook((TUTORIAL / "tutorial.py").read_text())
    assert made == (TUTORIAL / "tutorial.ipynb").read_text(), "run experiments/tutorial/make_notebook.py"
    assert [text[:5] for text in cells("markdown") if re.match(r"## \d", text)] == [
        f"## {n}" + "." for n in "12345"
    ]
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, code in enumerate(cells("code")):
        exec(compile(code, f"cell {number}", "exec"), names)
        names |= {"NUM_MAPS": names["AT_ONCE"]}
    assert names["findings"].kappa.shape == (256, 64, 64)
    assert (tmp_path / "runs/tutorial/tutorial.png").is_file()


def test_the_lines_of_python_of_the_readme():
    text = (ROOT / "README.md").read_text()
    code = re.search(r"^```python\n(.*?)^```", text, re.M | re.S)[1]
    assert len([line for line in code.splitlines() if line]) == 5
    names = {}
    exec(code, names)
    assert names["kappa"].shape == (16, 64, 64)
    assert names["power"].shape == (16, 12)
    assert np.isfinite(names["power"]).all()


def test_the_readme_is_a_page():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 700
    assert sum("pytest" in line for line in text.splitlines()) == 1  # .ci/run takes it for the tests' command


def anchors(page):
    """Of a page's headings, as GitHub makes them."""
    found = {}
    for head in re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.M):
        head = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head).strip().lower()
        kept = (c for c in head if c in "-_ " or unicodedata.category(c)[0] in "LN")
        name = "".join(kept).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {name + (f"-{n}" if n else "") for name, count in found.items() for n in range(count + 1)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text())):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert ROOT in there.parents, target
        assert not anchor or anchor in anchors(there), target


def test_files_that_guides_name_are_there():
    for page in [ROOT / "README.md", *(ROOT / "experiments/guides").glob("*.md")]:
        for name in re.findall(
            r"\b(?:cosmogan_jax|experiments|tests)/[\w./-]+\.(?:py|flags|sbatch)", page.read_text()
        ):
            assert (ROOT / name).is_file(), f"{page.name} names {name}"


def test_every_guide_is_listed_and_begins_with_its_question_and_a_command():
    guides = ROOT / "experiments/guides"
    listed = (guides / "README.md").read_text()
    for path in [*guides.glob("*.md"), *SCRIPTS.glob("*.py")]:
        if path.name != "README.md":
            assert f"({path.relative_to(guides)})" in listed
        if path.suffix == ".md":
            first = path.read_text().split("\n\n")[1]
            assert "?" in first
            assert re.search(r"^ {4}(python|\./|sbatch)", path.read_text(), re.M)
