"""Settings as the command line makes them, without a process of its own."""

import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver
from hypothesis import settings as hypothesis_settings

from cosmogan_jax import flags, main

# The same examples every time; the first of them imports astropy and the like, which takes what it takes.
hypothesis_settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
hypothesis_settings.load_profile("project")


@pytest.fixture
def parse():
    """A function (flag, ...) -> RunSettings; every default is the flag's own."""
    values = absl_flags.FLAGS
    if "workdir" not in values:
        flags.define()
    saved = flagsaver.save_flag_values(values)

    def parsed(*given):
        flagsaver.restore_flag_values(saved, values)
        values.unparse_flags()
        values(["cosmogan_jax", *map(str, given)])
        return flags.read()

    yield parsed
    flagsaver.restore_flag_values(saved, values)


@pytest.fixture
def run_main(parse, capsys):
    """A function (flag, ...) -> (exit code, stdout, stderr) that runs the stages in this process."""

    def run(*given):
        parse(*given)
        code = main.main(["cosmogan_jax"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
