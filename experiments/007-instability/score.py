"""What a checkpoint's maps are like beside maps from a region that the training has not seen."""

import functools

import jax
import numpy as np

from cosmogan_jax.compare.scores.spectrum_distance import spectrum_chi2
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.trained import open_trained
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.pretrained import Emulator
from cosmogan_jax.summaries import PAPER_THRESHOLDS, minkowski_functionals, power_spectrum

MAPS, BATCH, BANDS, RING = 512, 128, 12, 3


@functools.partial(jax.jit, static_argnums=1)
def summarise(kappa, geometry):
    """Statistics of every map; compiled once for all runs."""
    edges = log_l_edges(geometry, BANDS)
    power = power_spectrum(kappa, edges, geometry.side_deg, mode_weights="full_plane")
    return {"power": power, **minkowski_functionals(kappa, PAPER_THRESHOLDS)._asdict()}


def refreshed(networks, params, batch_stats):
    """Running averages after many batches that these parameters make; 0.9^60 = 2e-3 is left of the old ones."""
    # Not one program: inside a loop XLA computes convolutions by a slow kernel on CPUs.
    for key in jax.random.split(jax.random.key(7), 60):
        z = jax.random.normal(key, (BATCH // 2, networks.arch.latent_size))
        batch_stats = _next_averages(networks, params, batch_stats, z)
    return batch_stats


@functools.partial(jax.jit, static_argnums=0)
def _next_averages(networks, params, batch_stats, z):
    return networks.gen.apply(params, batch_stats, z, train=True)[1]


class Scorer:
    """Scores checkpoints of one run; the reference maps are read once."""

    def __init__(self, workdir):
        table = self.table = open_crop_table(workdir / "prepare")
        trained, self.like, self.checkpoints = open_trained(workdir)
        self.model, self.networks = trained.model, trained.model.networks
        self.normalisation = Normalisation(**table.manifest.normalisation)
        self.geometry = table.geometry
        self.edges = log_l_edges(table.geometry, BANDS)
        self.reference = {
            split: self._summaries(table.cut(table.choose(split, MAPS))[..., 0])
            for split in ("validation", "train")
        }

    def score(self, step, weights="last", refresh=False):
        """Distances of the generator of a step, or of its moving average, from validation and training maps.

        Both, since the regions of one light cone differ: in mean convergence most, and so in pixels and areas.

        refresh: batch norm by statistics of these very weights, instead of running averages over the last
        steps' weights and (for the moving average) over their averages.
        """
        state = self.checkpoints.restore(step, self.like)
        gen = state.gen if weights == "last" else state.ema
        variables = {"params": gen.params, "batch_stats": gen.batch_stats}
        if refresh:
            variables["batch_stats"] = refreshed(self.networks, gen.params, gen.batch_stats)
        emulator = Emulator("", self.model, variables, self.normalisation, self.geometry, {})
        # From the same z for every checkpoint and run.
        kappa = [np.asarray(emulator.sample(99, BATCH, first)) for first in range(0, MAPS, BATCH)]
        found = self._summaries(np.concatenate(kappa))
        return {split: distances(found, real, self.edges) for split, real in self.reference.items()}

    def floor(self):
        """Distance of the training maps themselves from the validation maps."""
        return distances(self.reference["train"], self.reference["validation"], self.edges)

    def close(self):
        """Let go of the checkpoints."""
        self.checkpoints.close()

    def _summaries(self, kappa):
        parts = [summarise(kappa[i : i + BATCH], self.geometry) for i in range(0, len(kappa), BATCH)]
        found = {key: np.concatenate([np.asarray(p[key], np.float64) for p in parts]) for key in parts[0]}
        return found | {"kappa": kappa}


def distances(found, real, edges):
    """Numbers that are 0 (or 1, for ratios) where the two ensembles agree."""
    ratio = found["power"].mean(0) / real["power"].mean(0)
    middle = np.sqrt(edges[1:] * edges[:-1])
    inner = np.abs(np.log(ratio[(middle > 700) & (middle < 7000)]))
    functionals = [k for k in found if k not in ("power", "kappa")]
    # Differences of means in units of the scatter of one map, where maps do scatter.
    chi = [
        np.square((found[k].mean(0) - real[k].mean(0))[real[k].std(0) > 0] / real[k].std(0)[real[k].std(0) > 0])
        for k in functionals
    ]
    values = {
        "power_ratio": [round(float(r), 3) for r in ratio],
        "worst_power_factor": np.exp(inner.max()),
        "mean_abs_log_power": inner.mean(),
        "spectrum_chi2": spectrum_chi2(found["power"], real["power"]),
        "pixel_ks": pixel_ks(found["kappa"], real["kappa"]),
        "minkowski_chi": np.sqrt(np.concatenate(chi).mean()),
        "nyquist_ratio": nyquist_power(found["kappa"]) / nyquist_power(real["kappa"]),
        **{
            name: border - border_real
            for (name, border), border_real in zip(
                border_contrast(found["kappa"]).items(), border_contrast(real["kappa"]).values()
            )
        },
    }
    return {k: v if isinstance(v, list) else round(float(v), 4) for k, v in values.items()}


def pixel_ks(one, two):
    """Largest difference of the two distribution functions of all pixels."""
    one, two = np.sort(one.ravel()), np.sort(two.ravel())
    return max(
        np.abs(np.searchsorted(one, x, side) / len(one) - np.searchsorted(two, x, side) / len(two)).max()
        for x, side in ((one[::7], "right"), (two[::7], "right"))  # each seventh: to 7 / len
    )


def nyquist_power(kappa):
    """Mean power of the modes of a checkerboard: (N/2, 0), (0, N/2) and (N/2, N/2)."""
    half = kappa.shape[-1] // 2
    sign = np.where(np.arange(kappa.shape[-1]) % 2, -1.0, 1.0)
    rows, columns = kappa.sum(2, dtype=np.float64) @ sign, kappa.sum(1, dtype=np.float64) @ sign
    both = np.einsum("nij,i,j->n", kappa, sign, sign)
    return np.mean([rows**2, columns**2, both**2]) / half**4


def border_contrast(kappa):
    """Outer RING pixels against the rest: mean (in units of the centre's sigma), and log of sigma."""
    inside = np.zeros(kappa.shape[-2:], bool)
    inside[RING:-RING, RING:-RING] = True
    mean, sigma = kappa.mean(0, dtype=np.float64), kappa.std(0, dtype=np.float64)
    return {
        "border_mean": (mean[~inside].mean() - mean[inside].mean()) / sigma[inside].mean(),
        "border_log_sigma": np.log(sigma[~inside].mean() / sigma[inside].mean()),
    }
