"""Settings of stage evaluate."""

import dataclasses
from typing import Any, Literal

from cosmogan_jax.settings.declaration import FILES, setting, shared
from cosmogan_jax.settings.map_files import GivenMaps
from cosmogan_jax.settings.margins import Margins, parse
from cosmogan_jax.settings.prepare import Prepare


def _real_maps(what: str) -> Any:
    return setting((), f"{what}. Files, folders or quoted globs, as --maps.", names=FILES)


@dataclasses.dataclass(frozen=True)
class Evaluate(GivenMaps):
    """Which maps are judged by which, within which margins, and how surely."""

    reference: tuple[str, ...] = _real_maps(
        "Real maps to judge by, in place of stage prepare's validation crops"
    )
    auxiliary: tuple[str, ...] = _real_maps(
        "More real maps, independent of the reference (other boxes), in place of stage prepare's"
    )
    auxiliary_split: Literal["auxiliary", "train", "development"] = setting(
        "auxiliary",
        "Which of stage prepare's crops are the auxiliary set where --auxiliary names none. train: the "
        "yardstick is then how far training maps are from validation maps, the best that can be learnt.",
    )
    mask: tuple[str, ...] = shared(Prepare, "mask")
    margins: str = setting(
        "default",
        "Within what generated maps are to agree with real ones: default (means 5 % or 0.2 sigma, standard "
        "deviations 10 %, correlations 0.05, slope 0.1), tight (1 % or 0.1 sigma, 3 %, 0.02, 0.05), or one of "
        f"them with changes, as default,mean=0.03; names are {', '.join(Margins._fields)}.",
        valid=parse,
    )
    evaluate_l_bins: int = setting(
        12,
        "Bands of ell from a map's fundamental mode to its Nyquist mode, evenly spaced in its logarithm.",
        least=2,
        most=20,
    )
    independent_unit: Literal["auto", "map", "box", "patch"] = setting(
        "auto",
        "What tests permute and errors resample: the simulation boxes that maps come from, or the maps (or "
        "HEALPix skies) that crops were cut from. auto: boxes where five or more are known, else maps. patch: "
        "every map that was given, or cut from a sky, though several are of one.",
    )
    num_permutations: int = setting(
        999,
        "Permutations of every test; 0: no tests. From 9999 on the false discovery rate is controlled too.",
        least=0,
        most=100_000,
    )
    num_resamples: int = setting(400, "Bootstrap resamples of every error.", least=50)
    observer_smoothing_arcmin: tuple[float, ...] = setting(
        (1.0, 2.0),
        "Everything is judged again with shape noise on both sides and this Gaussian smoothing; empty: not. "
        "Pairs of source bins too, with noise of its own in each.",
    )
    shape_noise_sigma_e: float = setting(
        0.26, "Scatter of galaxies' ellipticities, of one component.", least=0.0
    )
    galaxies_per_arcmin2: tuple[float, ...] = setting(
        (30.0,),
        "Galaxies with shapes on a square arcminute; of several source bins in EACH bin (not in all together): "
        "one number for all, or one of each, as 4,6,7,9.",
        like="30 or 4,6,7,9",
        valid=bool,
        words="must be one number, or one of each source bin",
    )
    survey_area_deg2: float = setting(
        1000.0,
        "Area for which the bias of Omega_m and sigma8 is given, in square degrees.",
        least=1e-3,
    )
    classifier_steps: int = setting(
        300,
        "Steps to train a classifier that tells generated from validation maps, and another that tells "
        "real maps apart; a part of the outcome. On two cores a minute or two for some thousand maps of 64 "
        "pixels, many for 256. 0: none, and the outcome is no pass.",
        least=0,
    )
