"""The tables of this experiment: slopes of the power, slopes and Fisher matrices of statistics, covariances.

`arrays` are data vectors: of simulations (boxes, patches, modes), of the emulator (maps, modes), its displaced
ones (maps, parameters, modes).
"""

import dataclasses

import numpy as np
from boxes_at import Theta
from scipy import stats

from cosmogan_jax.compare.covariance import compare_covariances, independent_columns
from cosmogan_jax.compare.data_vectors import DataVector
from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.compare.estimated_covariance import chi_squared, hartlap_factor, hotelling_p_values
from cosmogan_jax.compare.fisher import independent_maps
from cosmogan_jax.compare.noisy_fisher import noisy_fisher
from cosmogan_jax.compare.parameter_response import (
    ParameterResponse,
    difference_of_responses,
    logarithmic_differences,
    logarithmic_slopes,
    matched_differences,
)
from cosmogan_jax.sky.cosmology import paper_with
from cosmogan_jax.sky.response import band_response

NAMES = ("omega_m", "sigma8")
POWER_GOAL = 0.1  # of d ln P / d ln theta, in every band
DEPENDENT = 0.01  # a mode of which less of the variance is its own is left out


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared.

    step: of a parameter, relative, up and down.
    derivatives_to_ell: up to where the training boxes answer rightly to parameters, by the emulator's card.
    """

    vector: DataVector
    arrays: dict[str, np.ndarray]
    fiducial: Theta
    step: float
    source_redshift: float
    smoothing_arcmin: float
    derivatives_to_ell: float

    @property
    def theta(self) -> np.ndarray:
        return np.array(list(self.fiducial.values()))


def power_table(compared: Comparison) -> dict:
    """d ln P / d ln theta by band: simulations, the emulator by differences and derivatives, halofit."""
    vector, arrays, step = compared.vector, compared.arrays, compared.step
    columns = vector.columns("power_bands")
    log_distance = np.full(2, np.log((1 + step) / (1 - step)))
    simulated = logarithmic_differences(NAMES, *(side[..., columns] for side in sides(arrays)), log_distance)
    emulated = logarithmic_differences(
        NAMES, *(arrays[f"emulated_{side}"][..., columns] for side in ("lower", "upper")), log_distance
    )
    apart = difference_of_responses(emulated, simulated)
    derivatives, theory = derivatives_of_power(compared), halofit(compared)
    rows, edges = {}, vector.scales.l_edges
    offered = edges[1:] <= compared.derivatives_to_ell
    if not offered.all():
        print(f"derivatives are offered up to ell {compared.derivatives_to_ell:.0f} (the emulator's card)")
    for number, name in enumerate(NAMES):
        lines = {
            f"d ln P/d ln {name}: simulations": simulated.estimate.value[number],
            "its error": simulated.estimate.standard_error[number],
            "emulator, differences": emulated.estimate.value[number],
            "its error ": emulated.estimate.standard_error[number],
            **({} if derivatives is None else {"emulator, derivatives": derivatives.value[number]}),
            "halofit": theory[number],
            "emulator less simulations": apart.value[number],
            "error of that": apart.standard_error[number],
        }
        print_bands(edges, lines)
        worst = int(np.argmax(np.where(offered, np.abs(apart.value[number]), 0.0)))
        print(f"largest: {apart.value[number, worst]:+.3f} ± {apart.standard_error[number, worst]:.3f}\n")
        rows[name] = {key.strip(): np.asarray(value).tolist() for key, value in lines.items()}
        rows[name]["within_goal"] = bool((np.abs(apart.value[number])[offered] <= POWER_GOAL).all())
    return rows


def derivatives_of_power(compared: Comparison):
    """The emulator's, by forward mode, with errors; None where they were not made."""
    arrays, vector = compared.arrays, compared.vector
    if "emulated_slopes" not in arrays:
        return None
    own = smooth_part(vector).columns("power_bands")
    response = ParameterResponse(NAMES, arrays["emulated_slopes"][..., own])
    return logarithmic_slopes(response, arrays["emulated_values"][:, own], compared.theta).estimate


def smooth_part(vector: DataVector) -> DataVector:
    """The statistics of a data vector that are smooth in the pixels; none: no name."""
    each = {name: DataVector((name,), vector.scales, vector.geometry) for name in vector.names}
    return dataclasses.replace(vector, names=tuple(name for name, one in each.items() if one.differentiable))


def halofit(compared: Comparison) -> np.ndarray:
    """d ln P / d ln theta in the same bands, (parameters, bands); NaN where CAMB is not there to make it."""
    vector = compared.vector
    try:
        response = band_response(
            vector.scales.l_edges, vector.geometry, paper_with(**compared.fiducial), compared.source_redshift,
            smoothing_arcmin=compared.smoothing_arcmin, step=compared.step,
        )  # fmt: skip
    except ModuleNotFoundError as error:
        print(f"without halofit: {error}")
        return np.full((len(NAMES), len(vector.scales.l_edges) - 1), np.nan)
    return response.logarithmic.T * compared.theta[:, None]


def print_bands(edges: np.ndarray, lines: dict[str, np.ndarray]) -> None:
    centre = np.sqrt(edges[1:] * edges[:-1])
    print(f"| at ell | {' | '.join(f'{ell:.0f}' for ell in centre)} |\n|---{'|---' * len(centre)}|")
    for name, values in lines.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")


def sides(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Means of every matched box, (boxes, parameters, modes), where parameters are smaller and larger."""
    lower, upper = (
        np.stack([arrays[f"simulated_{side}_{name}"].mean(1) for name in NAMES], 1)
        for side in ("lower", "upper")
    )
    return lower, upper


def statistics_table(compared: Comparison) -> dict:
    """Slopes and Fisher matrices of every statistic; slopes in standard deviations of one map for 10 %."""
    vector, arrays = compared.vector, compared.arrays
    distance = 2 * compared.step * compared.theta
    simulated = matched_differences(NAMES, *sides(arrays), distance)
    emulated = matched_differences(NAMES, arrays["emulated_lower"], arrays["emulated_upper"], distance)
    boxes, patches, modes = arrays["simulated_fiducial"].shape
    maps, labels = arrays["simulated_fiducial"].reshape(-1, modes), np.repeat(np.arange(boxes), patches)
    print(
        "sigma of omega_m, sigma8 by one map: each alone, and both; naive: with the noise of the slopes\n\n"
        "| statistic | modes | slope apart, rms (its size) | chi2 a mode | alone: simulations | emulator | "
        "ratio | both: simulations | naive | emulator |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    rows = {}
    for name in vector.names:
        columns = np.arange(modes)[vector.columns(name)]
        columns = columns[
            independent_columns(maps[:, columns], arrays["emulated_fiducial"][:, columns], least=DEPENDENT)
        ]
        apart = difference_of_responses(emulated.of_modes(columns), simulated.of_modes(columns))
        scatter = maps[:, columns].std(0)
        tenth = 0.1 * compared.theta[:, None]
        rms, size = (
            np.sqrt(((tenth * v / scatter) ** 2).mean())
            for v in (apart.value, simulated.of_modes(columns).estimate.value)
        )
        chi2 = ((apart.value / np.maximum(apart.standard_error, 1e-300)) ** 2).mean()
        worth = independent_maps(maps[:, columns], labels)
        try:
            pair = [
                noisy_fisher(simulated.of_modes(columns), maps[:, columns], worth),
                noisy_fisher(emulated.of_modes(columns), arrays["emulated_fiducial"][:, columns]),
            ]
        except ValueError as error:
            print(f"| {name} | {len(columns)} | {rms:.3f} ({size:.3f}) | {chi2:.2f} | {error} | | | | | |")
            continue
        alone = [each.sigma_alone for each in pair]
        ratio = alone[1].value / alone[0].value
        error = ratio * np.hypot(*(each.standard_error / each.value for each in alone))
        naive = ", ".join(f"{value:.3f}" for value in pair[0].naive_sigma)
        print(
            f"| {name} | {len(columns)} | {rms:.3f} ({size:.3f}) | {chi2:.2f} | {in_words(alone[0])} | "
            f"{in_words(alone[1])} | {in_words(Estimate(ratio, error))} | {in_words(pair[0].sigma)} | "
            f"{naive} | {in_words(pair[1].sigma)} |"
        )
        rows[name] = {
            "modes": columns.tolist(), "slope_apart": rms, "slope_size": size, "chi2_a_mode": chi2,
            "sigma_ratio": ratio.tolist(), "sigma_ratio_error": error.tolist(),
            **{
                of: {"fisher": f.corrected.value.tolist(), "error": f.corrected.standard_error.tolist(),
                     "noise_subtracted": f.noise.tolist(), "sigma": f.sigma.value.tolist(),
                     "naive_sigma": f.naive_sigma.tolist(), "sigma_alone": f.sigma_alone.value.tolist()}
                for of, f in zip(("simulations", "emulator"), pair)
            },
        }  # fmt: skip
    return rows


def in_words(estimate: Estimate) -> str:
    return ", ".join(f"{v:.3f} ± {e:.3f}" for v, e in zip(*estimate))


def covariance_table(compared: Comparison) -> dict:
    """Covariances at the held-out cosmology: elements, eigenvalues, and chi^2 of the simulated maps."""
    vector, arrays = compared.vector, compared.arrays
    boxes, patches, modes = arrays["simulated_held_out"].shape
    simulated, labels = arrays["simulated_held_out"].reshape(-1, modes), np.repeat(np.arange(boxes), patches)
    emulated, other = arrays["emulated_held_out"], arrays["emulated_held_out_other"]
    print(
        "\n| statistic | elements apart: rms (error) | beyond 3 errors | eigenvalues (equal ones: to) | "
        "chi2 a mode of simulated, emulated maps (Hartlap) | p of one law of both | "
        "p of a Gaussian's: simulated, emulated |\n|---|---|---|---|---|---|---|"
    )
    rows = {}
    for name in vector.names:
        columns = np.arange(modes)[vector.columns(name)]
        columns = columns[independent_columns(simulated[:, columns], emulated[:, columns], least=DEPENDENT)]
        a, b = emulated[:, columns], simulated[:, columns]
        try:
            result = compare_covariances(a, b, np.arange(len(a)), labels, seed=0)
        except ValueError as error:
            print(f"| {name} | {error} | | | | | |")
            continue
        upper = np.triu_indices(len(columns))
        value, error = (array[upper] for array in result.difference)
        beyond = int((np.abs(value) > 3 * error).sum())
        mean, covariance = a.mean(0), np.cov(a.T)
        # One patch of each box: independent of each other.
        t_squared = [chi_squared(maps, mean, covariance) for maps in (b[::patches], other[:, columns])]
        p_values = [hotelling_p_values(t, len(columns), len(a), mean_maps=len(a)) for t in t_squared]
        uniform = [float(stats.kstest(p, "uniform").pvalue) for p in p_values]
        scaled = [float(hartlap_factor(len(a), len(columns)) * t.mean() / len(columns)) for t in t_squared]
        same = float(stats.ks_2samp(*t_squared).pvalue)
        low, high = result.eigenvalues.value[[0, -1]]
        print(
            f"| {name} | {np.sqrt((value**2).mean()):.3f} ({np.sqrt((error**2).mean()):.3f}) | {beyond} of "
            f"{len(value)} | {low:.2f} to {high:.2f} ({result.equal_range[0, 0]:.2f} to "
            f"{result.equal_range[1, -1]:.2f}) | {scaled[0]:.3f}, {scaled[1]:.3f} | {same:.3g} | "
            f"{uniform[0]:.3g}, {uniform[1]:.3g} |"
        )
        rows[name] = {
            "modes": columns.tolist(), "difference": result.difference.value.tolist(),
            "difference_error": result.difference.standard_error.tolist(), "errors": result.errors,
            "eigenvalues": result.eigenvalues.value.tolist(),
            "eigenvalues_error": result.eigenvalues.standard_error.tolist(),
            "equal_range": result.equal_range.tolist(), "chi2_a_mode": scaled, "chi2_same_p": same,
            "chi2_gaussian_p": uniform,
            "independent_maps": [result.maps_generated, result.maps_validation],
        }  # fmt: skip
    return rows
