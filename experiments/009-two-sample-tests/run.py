"""Levels and power of the two-sample tests on maps of real lens planes.

python experiments/009-two-sample-tests/run.py --lens_planes <folder>
"""

import argparse
import json
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from cosmogan_jax.compare.ensembles import effective_modes
from cosmogan_jax.compare.two_sample import parent_resampling
from cosmogan_jax.compare.two_sample.histogram_heights import height_tests, power_under_shift
from cosmogan_jax.compare.two_sample.mode_tests import clustered_tests, permutation_tests
from cosmogan_jax.compare.two_sample.pixel_tests import permutation_pixel_test
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.lens_planes import read_lens_planes
from cosmogan_jax.sky.cosmology import Cosmology
from cosmogan_jax.sky.planes import Region, born_maps, born_weights, plane_convergence
from cosmogan_jax.summaries import power_spectrum

TILE, CROP, CROPS_EACH = 64, 32, 16
EDGES = np.concatenate([[-np.inf], np.linspace(-0.05, 0.1, 151), [np.inf]])


class Sky:
    """Convergence planes, weighted for sources at redshift 0.99."""

    def __init__(self, folder):
        lens = read_lens_planes(folder)
        head, self.side_deg = lens.header, float(lens.side_deg[0])
        cosmology = Cosmology(head["OMEGA_M"], head["OMEGA_L"], head["H"], head["W0"], head["WA"])
        weights = born_weights(lens.chi, cosmology, 0.99)
        used = weights > 0
        kappa = plane_convergence(lens.potential[used], self.side_deg)
        self.weights = np.float32(weights[used])
        self.planes = kappa
        self.geometry = MapGeometry(kappa.shape[-1], self.side_deg)
        self._spectra = {}

    def tiled(self, rng, halves):
        """64 parents, (64, TILE, TILE): each sums one tile of every plane, no tile is used twice.

        halves: the first 32 take theirs from one half of every plane, left or right as it falls.
        """
        count = self.planes.shape[-1] // TILE
        row, column = (index.ravel() for index in np.indices((count, count)))
        total = np.zeros((count**2, TILE, TILE), np.float32)
        for weight, plane in zip(self.weights, self.planes, strict=True):
            tiles = plane.reshape(count, TILE, count, TILE).swapaxes(1, 2)
            order = rng.permutation(count**2)
            if halves:
                right = (column[order] >= count // 2) ^ (rng.random() < 0.5)
                order = order[np.argsort(right, kind="stable")]
            for parent, tile in enumerate(order):
                turned = np.rot90(tiles[row[tile], column[tile]], rng.integers(4))
                total[parent] += weight * (turned.T if rng.random() < 0.5 else turned)
        return total

    def windows(self, key, number, region):
        """Born windows of TILE pixels, as --sky=planes draws them: they overlap."""
        drawn = self._windows(key, jnp.arange(number), region)
        return np.asarray(drawn)

    def _windows(self, key, index, region):
        if not hasattr(self, "_draw"):
            self._draw = jax.jit(born_maps, static_argnames=("region", "num_pixels"))
        return self._draw(
            key, index, jnp.asarray(self.planes), jnp.asarray(self.weights), region=region, num_pixels=TILE
        )

    def spectra(self, maps):
        """Power in bins one fundamental wide, from below it to the Nyquist multipole, and the bins' centres."""
        geometry = self.geometry.crop(maps.shape[-1])
        edges = (np.arange(maps.shape[-1] // 2 + 1) + 0.5) * geometry.fundamental_ell
        if geometry not in self._spectra:
            self._spectra[geometry] = jax.jit(lambda k: power_spectrum(k, edges, geometry.side_deg))
        return np.asarray(self._spectra[geometry](maps)), (edges[1:] + edges[:-1]) / 2


def crops_of(rng, maps):
    """CROPS_EACH random crops of CROP pixels of every map, in the order of the maps."""
    places = rng.integers(0, TILE - CROP + 1, (len(maps), CROPS_EACH, 2))
    return np.stack([m[r : r + CROP, c : c + CROP] for m, at in zip(maps, places) for r, c in at])


def histograms(maps):
    """Counts of pixels, (maps, bins)."""
    bins = np.searchsorted(EDGES, maps.reshape(len(maps), -1), side="right") - 1
    return np.stack([np.bincount(row, minlength=len(EDGES) - 1) for row in bins])


def share(flags, digits=3):
    """Mean of flags."""
    return round(float(np.mean(flags)), digits)


def summary(tests, ell):
    """Rejections of true nulls by trial and mode, and how far p is from uniform."""
    found = {}
    for name in ("ks", "anderson_darling"):
        p = np.array([getattr(t, name).p for t in tests])
        family = np.array([np.nanmin(getattr(t, name).family_p) for t in tests])
        low, high = 0, int(np.searchsorted(ell, 10000))
        found[name] = {
            "below_0.05": share(p <= 0.05),
            f"below_0.05_at_ell_{round(ell[low])}": share(p[:, low] <= 0.05),
            f"below_0.05_at_ell_{round(ell[high])}": share(p[:, high] <= 0.05),
            "below_0.01": share(p <= 0.01),
            "mean_p": share(p),
            "distance_from_uniform": round(float(scipy.stats.kstest(p.ravel(), "uniform").statistic), 3),
            "family_below_0.05": share(family <= 0.05),
        }
    return {"trials": len(tests), **found}


def null_of_tiles(sky, trials, permutations):
    """True nulls between two halves of 64 disjoint parents, and between parents of two halves of the planes."""
    group, crop = np.repeat(np.arange(32), CROPS_EACH), np.arange(32 * CROPS_EACH)
    found = {}
    for halves in (False, True):
        tests = {"parents permuted": [], "crops permuted": [], "clustered": []}
        pixel_p = {"parents permuted": [], "crops permuted": []}
        for trial in range(trials):
            rng = np.random.default_rng([trial, halves])
            crops = crops_of(rng, sky.tiled(rng, halves))
            power, ell = sky.spectra(crops)
            sides = power[: len(crop)], power[len(crop) :]
            counts = histograms(crops)
            two = counts[: len(crop)], counts[len(crop) :]
            for name, label in (("parents permuted", group), ("crops permuted", crop)):
                options = {"seed": trial, "num_permutations": permutations}
                tests[name].append(permutation_tests(*sides, label, label, **options))
                pixel_p[name].append(permutation_pixel_test(*two, label, label, **options).p)
            tests["clustered"].append(
                clustered_tests(*sides, group, group, seed=trial, num_resamples=permutations)
            )
        name = "regions" if halves else "random halves"
        found[name] = {kind: summary(each, ell) for kind, each in tests.items()}
        for kind, p in pixel_p.items():
            found[name][kind]["pixels"] = {
                "below_0.05": share(np.array(p) <= 0.05),
                "mean_p": share(p),
                "distance_from_uniform": round(float(scipy.stats.kstest(p, "uniform").statistic), 3),
            }
    return found


def uniformity(sky, trials, permutations):
    """p of random halves of 64 disjoint parents: shares below alpha, with errors from the trials' scatter."""
    group = np.repeat(np.arange(32), CROPS_EACH)
    found = {"ks": [], "anderson_darling": []}
    family = {"ks": [], "anderson_darling": []}
    for trial in range(1000, 1000 + trials):
        rng = np.random.default_rng([trial, 0])
        power, _ = sky.spectra(crops_of(rng, sky.tiled(rng, False)))
        sides = power[: len(group)], power[len(group) :]
        tests = permutation_tests(*sides, group, group, seed=trial, num_permutations=permutations)
        for name in found:
            found[name].append(getattr(tests, name).p)
            family[name].append(np.nanmin(getattr(tests, name).family_p))
    result = {"trials": trials}
    for name, each in found.items():
        p = np.array(each)
        below = {alpha: (p <= alpha).mean(1) for alpha in (0.01, 0.05, 0.1, 0.2, 0.5)}
        result[name] = {
            **{f"below_{a}": [share(b), round(float(b.std() / trials**0.5), 4)] for a, b in below.items()},
            "family_below_0.05": share(np.array(family[name]) <= 0.05),
            "effective_modes_of_p": round(effective_modes(p), 2),
        }
    return result


def null_of_windows(sky, permutations):
    """Overlapping windows of one half of the planes against windows of the other, each window a parent."""
    size, found = sky.planes.shape[-1], {}
    regions = Region(0, 0, size, size // 2), Region(0, size // 2, size, size // 2)
    maps = [sky.windows(jax.random.key(side), 1600, region) for side, region in enumerate(regions)]
    for number in (25, 100, 400, 1600):
        sides = [sky.spectra(kappa[:number])[0] for kappa in maps]
        each = np.arange(number)
        tests = permutation_tests(*sides, each, each, seed=0, num_permutations=permutations)
        found[number] = {
            name: {"below_0.05": share(part.p <= 0.05), "family_below_0.05": share(part.family_p <= 0.05)}
            for name, part in (("ks", tests.ks), ("anderson_darling", tests.anderson_darling))
        }
    return found


def power_of_tilt(sky, repeats, permutations):
    """Windows shared out at random, P(ell) -> P(ell) (ell / pivot)^tilt on one side."""
    size, found = sky.planes.shape[-1], {}
    window = sky.geometry.crop(TILE)
    ell = window.half_plane_ell()
    pivot = np.sqrt(window.fundamental_ell * window.nyquist_ell)
    drawn = sky.windows(jax.random.key(9), 12800, Region(0, 0, size, size))
    for number in (100, 500, 2000, 6400):
        for tilt in (0.0, 0.03, 0.1):
            filtered = np.where(ell > 0, np.where(ell > 0, ell / pivot, 1) ** (tilt / 2), 1)
            flags = []
            for repeat in range(repeats):
                chosen = np.random.default_rng([repeat, number]).permutation(len(drawn))[: 2 * number]
                planted = np.fft.irfft2(np.fft.rfft2(drawn[chosen[number:]]) * filtered, s=(TILE, TILE))
                one, _ = sky.spectra(drawn[chosen[:number]])
                two, _ = sky.spectra(planted.astype(np.float32))
                each = np.arange(number)
                tests = permutation_tests(one, two, each, each, seed=repeat, num_permutations=permutations)
                heights = height_tests(one, two, seed=repeat)
                flags.append(
                    [
                        *(share(part.p <= 0.05) for part in tests[:2]),
                        *(share(part.family_p <= 0.05) for part in tests[:2]),
                        *(float((part.family_p <= 0.05).any()) for part in tests[:2]),
                        *heights.shares(0.99),
                    ]
                )
            mean = np.round(np.mean(flags, 0), 3).tolist()
            found[f"{number} maps a side, tilt {tilt}"] = {
                "modes_below_0.05": mean[0:2],
                "modes_family_below_0.05": mean[2:4],
                "any_mode_family_below_0.05": mean[4:6],
                "heights_above_0.99": mean[6:8],
            }
    one, two = (sky.spectra(part)[0] for part in (drawn[:6400], drawn[6400:]))
    shifted = power_under_shift(one, two, seed=0)
    heights = {name: np.round(value, 3).tolist() for name, value in shifted._asdict().items()}
    return {"columns": "ks, anderson_darling", "tilt": found, "heights_under_shift": heights}


def level_of_clustered(permutations):
    """True nulls of synthetic parents: single modes (8 maps each), families of 60 (4 maps each)."""
    parent_resampling.MIN_BOOTSTRAP_PARENTS = 10
    rng, found = np.random.default_rng(0), {}

    def side(parents, maps, modes):
        values = rng.normal(size=(parents, 1, modes)) + rng.normal(size=(parents, maps, modes))
        return values.reshape(-1, modes), np.repeat(np.arange(parents), maps)

    for parents in (10, 20, 50, 100):
        (one, group), (two, _) = side(parents, 8, 1000), side(parents, 8, 1000)
        single = clustered_tests(one, two, group, group, seed=0, num_resamples=permutations)
        family = []
        for trial in range(200):
            (one, group), (two, _) = side(parents, 4, 60), side(parents, 4, 60)
            tests = clustered_tests(one, two, group, group, seed=trial, num_resamples=permutations)
            family.append([part.family_p.min() <= 0.05 for part in tests[:2]])
        found[parents] = {
            "mode_below_0.05": [share(part.p <= 0.05) for part in single[:2]],
            "family_below_0.05": np.round(np.mean(family, 0), 3).tolist(),
        }
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lens_planes", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.json")
    parser.add_argument("--parts", default="null_of_tiles,uniformity,null_of_windows,power,clustered_level")
    args = parser.parse_args()
    sky = Sky(args.lens_planes)
    parts = {
        "null_of_tiles": lambda: null_of_tiles(sky, args.trials, 199),
        "uniformity": lambda: uniformity(sky, 4 * args.trials, 99),
        "null_of_windows": lambda: null_of_windows(sky, 199),
        "power": lambda: power_of_tilt(sky, args.repeats, 199),
        "clustered_level": lambda: level_of_clustered(199),
    }
    result = json.loads(args.out.read_text()) if args.out.exists() else {}
    for name in args.parts.split(","):
        began, load = time.perf_counter(), round(os.getloadavg()[0], 1)
        found = parts[name]()
        cost = {"wall_s": round(time.perf_counter() - began, 1), "load_of_others": load, "jax": jax.__version__}
        result[name] = {**found, "cost": {**cost, "cores": len(os.sched_getaffinity(0))}}
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
