"""Settings as the command line makes them, without a process of its own; programs compiled once and quickly."""

import atexit
import contextlib
import gc
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Imports and tracing make objects by the million. By default Python, and XLA with it, looks for cycles among
# them every 700, which takes a tenth of all time; here seldom.
if gc.isenabled():
    gc.set_threshold(20_000, 10, 10)

# Trainings of the same sizes, in this process and in those that tests start, share their programs. Before JAX
# is imported; a cache that is set already is used.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _programs = tempfile.mkdtemp(prefix="cosmogan_jax-tests-")
    atexit.register(shutil.rmtree, _programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Programs name no line of Python: to look each up takes a tenth of the time in which they are made.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

# XLA's CPU compiler by its older way of making loops, in one piece a program: the same optimisations, in little
# more than half the time. `XLA_FLAGS= python -m pytest` compiles as users' processes do; a version of XLA that
# no longer knows these flags would end the process, and is asked first.
if "XLA_FLAGS" not in os.environ:
    _quickly = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    _asks = "from jaxlib.xla_client import CompileOptions as C; C().executable_build_options.debug_options"
    _known = subprocess.run(
        [sys.executable, "-c", _asks], env={**os.environ, "XLA_FLAGS": _quickly}, capture_output=True
    )
    os.environ["XLA_FLAGS"] = _quickly if _known.returncode == 0 else ""

import jax
import numpy as np
import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver
from hypothesis import settings as hypothesis_settings

from cosmogan_jax import flags, main

# Runs by the command line are small and of many programs, whose optimisation takes far longer than they do;
# what optimised programs compute is tested without the command line. JAX reads this when it is imported: this
# process optimises, those that tests start do not.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

# What was imported until here stays, and is not looked through for cycles again.
gc.freeze()


def pytest_configure(config):
    """Files in their own order: pytest-xdist would begin with those of many tests and end with long ones."""
    config.option.loadscopereorder = False


# The same examples every time; the first of them imports astropy and the like, which takes what it takes.
hypothesis_settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
hypothesis_settings.load_profile("project")


# JAX keeps a function's program by everything but how well it is optimised; by this value, in all threads, too.
_QUICK = jax.make_user_context(False)


@contextlib.contextmanager
def quickly_compiled(quick=os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"):
    """Programs compiled here are hardly optimised, as those of the processes that tests start."""
    before = jax.config.values["jax_disable_most_optimizations"], _QUICK.get_global()
    jax.config.update("jax_disable_most_optimizations", quick)
    _QUICK.set_global(quick)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before[0])
        _QUICK.set_global(before[1])


@pytest.fixture(scope="module")
def quick():
    """For modules in which compilation takes nearly all the time: see `quickly_compiled`."""
    with quickly_compiled():
        yield


@pytest.fixture
def optimised():
    """For those tests of such a module that compute more than they compile."""
    with quickly_compiled(quick=False):
        yield


# Of what these draw, every byte is compared with what processes of their own draw.
_LAID_OUT = ("test_faults", "test_kills")
# Draws every picture of a report with ticks and titles in their places.
_WITH_TICKS = ("test_main",)


@pytest.fixture(scope="module", autouse=True)
def pictures_without_layout(request):
    """Half of a picture's time is its layout, most of the rest its ticks and pixels, at which no test looks.

    Drawn once, as PNG; its PDF is empty. Processes that tests start, and `_LAID_OUT`, draw both whole.
    """
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from cosmogan_jax.figures import files

    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__ not in _LAID_OUT:
            patch.setattr(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)
            patch.setattr(files, "_DPI", 50)
            patch.setattr(files, "FigureCanvasPdf", lambda figure: FigureCanvasPdf(Figure()))
            if request.module.__name__ not in _WITH_TICKS:
                patch.setattr(Axis, "draw", lambda axis, renderer: None)
                patch.setattr(Axes, "_update_title_position", lambda axes, renderer: None)
        yield


# Of a process, beyond which its programs are forgotten: kept to the end they would take 8 GiB.
_MOST_MEMORY = 2.5 * 2**30
# These replace what is called on the host, and nothing that a program is made of.
_PATCH_NO_PROGRAM = (
    "test_faults",  # pipeline.run, shutil
    "test_from_python",  # pipeline.run
    "test_main",  # pipeline.run
    "test_novelty",  # stages of a search, by what fails
    "test_pretrained",  # where emulators lie
    "test_selection",  # what restores, scores and reads
)


@pytest.fixture(scope="module", autouse=True)
def programs_of_a_module(request):
    """Modules share what was traced and compiled, until it takes too much memory.

    A module that patches the package begins and ends with nothing: a program that was traced before would not
    know of it, and one that is made meanwhile would outlive it.
    """
    source = Path(request.module.__file__).read_text()
    patches = "patch.setattr(" in source or "patch.setitem(" in source
    alone = patches and request.module.__name__ not in _PATCH_NO_PROGRAM
    if alone:
        jax.clear_caches()
    yield
    if alone:
        jax.clear_caches()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    if pages * os.sysconf("SC_PAGE_SIZE") > _MOST_MEMORY:
        jax.clear_caches()
        gc.collect()


@contextlib.contextmanager
def flags_to_be_set():
    """A function (flag, ...) that sets the flags as a command line would; every default is the flag's own."""
    values = absl_flags.FLAGS
    if "workdir" not in values:
        flags.define()
    saved = flagsaver.save_flag_values(values)

    def set_to(*given):
        flagsaver.restore_flag_values(saved, values)
        values.unparse_flags()
        values(["cosmogan_jax", *map(str, given)])

    yield set_to
    flagsaver.restore_flag_values(saved, values)


@pytest.fixture
def set_flags():
    """A function (flag, ...): see `flags_to_be_set`."""
    with flags_to_be_set() as set_to:
        yield set_to


@pytest.fixture
def parse(set_flags):
    """A function (flag, ...) -> RunSettings."""

    def parsed(*given):
        set_flags(*given)
        return flags.read()

    return parsed


@pytest.fixture
def tiny_run(tmp_path):
    """Flags of a run of seconds on eight maps of noise; how many crops and what is logged is each test's."""
    np.save(tmp_path / "k.npy", np.random.default_rng(2).normal(size=(8, 32, 32)).astype(np.float32) * 0.02)
    return [
        f"--maps={tmp_path}/k.npy", "--side_deg=1", "--crop_size=16", "--normalisation=linear",
        "--normalisation_scale=0.1", "--num_filters=4", "--batch_size=4", "--sample_every_steps=0",
    ]  # fmt: skip


def load_script(path):
    """A script of experiments/ as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def run_here(*given):
    """(exit code, all that was said) of the stages run in this process, for fixtures of modules too."""
    said = io.StringIO()
    with (
        flags_to_be_set() as set_to,
        quickly_compiled(),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        set_to(*given)
        code = main.main(["cosmogan_jax"])
    return code or 0, said.getvalue()


@pytest.fixture
def run_main(set_flags, capsys):
    """A function (flag, ...) -> (exit code, stdout, stderr) that runs the stages in this process.

    Without the classifier, whose training takes as long as all else, where a test does not ask for it.
    """

    def run(*given):
        set_flags("--classifier_steps=0", *given)
        with quickly_compiled():
            code = main.main(["cosmogan_jax"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
