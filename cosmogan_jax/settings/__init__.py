"""What each stage is told: one frozen dataclass a stage, whose fields declare their flags.

Nothing here imports JAX, so that flags parse, --help prints and reports are made without.
"""

from cosmogan_jax.settings.declaration import results_only as results_only
from cosmogan_jax.settings.evaluate import Evaluate as Evaluate
from cosmogan_jax.settings.export import Export as Export
from cosmogan_jax.settings.generate import Generate as Generate
from cosmogan_jax.settings.map_files import GivenMaps as GivenMaps
from cosmogan_jax.settings.map_files import MapFiles as MapFiles
from cosmogan_jax.settings.novelty import Novelty as Novelty
from cosmogan_jax.settings.pack import Pack as Pack
from cosmogan_jax.settings.prepare import Prepare as Prepare
from cosmogan_jax.settings.report import Report as Report
from cosmogan_jax.settings.run import Processes as Processes
from cosmogan_jax.settings.run import Run as Run
from cosmogan_jax.settings.select import Select as Select
from cosmogan_jax.settings.simulate import Simulate as Simulate
from cosmogan_jax.settings.train import Train as Train
