"""Flags of stage evaluate; those that say what map files leave open are defined with stage prepare's."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.flags.number_lists import Joined, Numbers
from cosmogan_jax.settings import Evaluate as SETTINGS
from cosmogan_jax.settings.margins import Margins, parse

__all__ = ["SETTINGS", "define"]


def _checked_margins(text: str) -> bool:
    try:
        parse(text)
    except ValueError as error:
        raise flags.ValidationError(str(error)) from None
    return True


def define() -> None:
    """Define the flags."""
    for name, what in (
        ("generated", "Maps to judge, in place of those of stage generate: another emulator's, a mock's"),
        ("reference", "Real maps to judge by, in place of stage prepare's validation crops"),
        (
            "auxiliary",
            "More real maps, independent of the reference (other boxes), in place of stage prepare's",
        ),
    ):
        flags.DEFINE_list(name, [], f"{what}. Files, folders or quoted globs, as --maps.")
    flags.DEFINE_float(
        "judged_side_deg",
        None,
        "Side of the maps of --generated, --reference and --auxiliary whose files do not tell it, in degrees, "
        "where it is not --side_deg: of crops, while --side_deg is that of --maps.",
    )
    flags.register_validator("judged_side_deg", lambda d: d is None or 0 < d < 180, "must be positive degrees")
    flags.DEFINE_enum(
        "auxiliary_split",
        "auxiliary",
        ["auxiliary", "train", "development"],
        "Which of stage prepare's crops are the auxiliary set where --auxiliary names none. train: the "
        "yardstick is then how far training maps are from validation maps, the best that can be learnt.",
    )
    flags.DEFINE_string(
        "margins",
        "default",
        "Within what generated maps are to agree with real ones: default (means 5 % or 0.2 sigma, standard "
        "deviations 10 %, correlations 0.05, slope 0.1), tight (1 % or 0.1 sigma, 3 %, 0.02, 0.05), or one of "
        "them with changes, as default,mean=0.03; names are "
        f"{', '.join(Margins._fields)}.",
    )
    flags.register_validator("margins", _checked_margins)
    flags.DEFINE_integer(
        "evaluate_l_bins",
        12,
        "Bands of ell from a map's fundamental mode to its Nyquist mode, evenly spaced in its logarithm.",
        lower_bound=2,
        upper_bound=20,
    )
    flags.DEFINE_enum(
        "independent_unit",
        "auto",
        ["auto", "map", "box", "patch"],
        "What tests permute and errors resample: the simulation boxes that maps come from, or the maps (or "
        "HEALPix skies) that crops were cut from. auto: boxes where five or more are known, else maps. patch: "
        "every map that was given, or cut from a sky, though several are of one.",
    )
    flags.DEFINE_integer(
        "num_permutations",
        999,
        "Permutations of every test; 0: no tests. From 9999 on the false discovery rate is controlled too.",
        lower_bound=0,
        upper_bound=100_000,
    )
    flags.DEFINE_integer("num_resamples", 400, "Bootstrap resamples of every error.", lower_bound=50)
    flags.DEFINE(
        Numbers(),
        "observer_smoothing_arcmin",
        (1.0, 2.0),
        "Everything is judged again with shape noise on both sides and this Gaussian smoothing; empty: not.",
        serializer=Joined(),
    )
    flags.DEFINE_float(
        "shape_noise_sigma_e", 0.26, "Scatter of galaxies' ellipticities, of one component.", lower_bound=0.0
    )
    flags.DEFINE_float(
        "galaxies_per_arcmin2", 30.0, "Galaxies with shapes on a square arcminute.", lower_bound=1e-3
    )
    flags.DEFINE_float(
        "survey_area_deg2",
        1000.0,
        "Area for which the bias of Omega_m and sigma8 is given, in square degrees.",
        lower_bound=1e-3,
    )
    flags.DEFINE_integer(
        "classifier_steps",
        300,
        "Steps to train a classifier that tells generated from validation maps, and another that tells "
        "real maps apart; a part of the outcome. On two cores a minute or two for some thousand maps of 64 "
        "pixels, many for 256. 0: none, and the outcome is no pass.",
        lower_bound=0,
    )
