"""The model card in words; every number in it is the card's."""

import math
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from cosmogan_jax.compare.sky_limits import HEAD, SkyLimits, rows, words
from cosmogan_jax.emulators.card_cosmologies import flag_of_the_mean, section
from cosmogan_jax.emulators.interface import Model
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry

CAUTION = (
    "Samples of a fit add no information to the data it was fitted to: however many maps are generated, they "
    "know no more of the sky than the training maps did, and errors of what is inferred from them must come "
    "from those."
)


def as_markdown(card: dict[str, Any], model: Model) -> str:
    """Write card.md: data, cosmology, angle, sky, measured fidelity, range, limits, caution."""
    geometry = MapGeometry(**card["geometry"])
    data, training, weights = card["data"], card["training"], card["weights"]
    cosmology = ", ".join(f"{k} {v:g}" for k, v in (card["cosmology"] or {}).items()) or "not said by the data"
    change = weights["as_stored"]
    average = (
        f", moving average of decay {training['flags']['ema_decay']:g}" if training["weights"] == "ema" else ""
    )
    return f"""# {card["name"]}

Convergence maps of {geometry.num_pixels}x{geometry.num_pixels} pixels, {geometry.side_deg:.6g} degrees wide \
({geometry.pixel_arcmin:.4g} arcmin a pixel, ell {geometry.fundamental_ell:.0f} to \
{geometry.nyquist_ell:.0f}), {_sources(card)}.

    python -m cosmogan_jax.main --stages=generate --pretrained={card["name"]} --workdir=runs/{card["name"]}\
{flag_of_the_mean(card)}

## Data
{data["description"]}
Cosmology: {cosmology}. Crops: {", ".join(f"{n} {split}" for split, n in data["crops"].items())}.

{section(card)}{_sky(card)}## Training
Step {training["step"]} of {training["steps"]}{average} (batch {training["flags"]["batch_size"]}, \
{training["steps"] / training["steps_per_epoch"]:.3g} epochs, {training["seconds"] / 60:.0f} minutes), \
{_kind(card["architecture"])}, normalisation {card["normalisation"]["kind"]} \
({_scale(card["normalisation"]["scale"])}), commit {training["commit"]}.
Weights: {weights["numbers"]} numbers, parameters as {weights["dtype"]}, SHA-256 `{weights["sha256"]}`. \
As stored they change {change["maps"]} maps by {change["rms_change_in_sigma"]:.2g} of their sigma (rms) and no \
band of their power by more than a factor {change["largest_power_factor"]:.6g}.

## Measured fidelity
{_fidelities(card)}
## Limits
{_limits(card, model)}
"""


def _sky(card: dict[str, Any]) -> str:
    """Say up to where the training maps are a sky; nothing on cards that do not know."""
    if not card.get("sky"):
        return ""
    limits = SkyLimits.from_json(card["sky"], f"sky of the card of {card['name']}")
    head = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    table = [f"| {' | '.join(row)} |" for row in rows(limits)]
    return "\n".join(["## The sky of its training maps", *words(limits), "", *head, *table, "", ""])


def _fidelities(card: dict[str, Any]) -> str:
    """Say what was measured, of every source bin by itself where there are several."""
    of_bins = card.get("fidelity_of_bins")
    if not of_bins:
        return _fidelity(card["fidelity"])
    redshifts = card["bin_redshifts"]
    return "\n".join(
        f"### Source bin {number} (redshift {_or_unknown(redshift)})\n{_fidelity(fidelity)}"
        for number, (redshift, fidelity) in enumerate(zip(redshifts, of_bins, strict=True))
    )


def _fidelity(fidelity: dict[str, Any]) -> str:
    boxes = fidelity["validation_boxes"]
    lines = [
        f"{fidelity['num_generated']} generated maps beside {fidelity['num_validation']} validation crops of "
        f"{fidelity['validation_parent_maps']} maps"
        + ({None: ".", 1: " from one box or region."}.get(boxes) or f" from {boxes} boxes or regions."),
        "",
        "| ell | mean power, generated / validation | its scatter over maps, likewise |",
        "|---|---|---|",
    ]
    edges, columns = fidelity["l_edges"], [fidelity["power_ratio"], fidelity["power_sigma_ratio"]]
    if fidelity.get("auxiliary_power_ratio"):
        # The yardstick: how far real maps are from the validation maps.
        lines[-2] += f" mean power, {fidelity['auxiliary']} / validation |"
        lines[-1] += "---|"
        columns.append(fidelity["auxiliary_power_ratio"])
    for low, high, *values in zip(edges, edges[1:], *columns):
        if values[0] is not None:
            cells = " | ".join("" if value is None else f"{value:.3f}" for value in values)
            lines.append(f"| {low:.0f} to {high:.0f} | {cells} |")
    lines += ["", "Largest difference of means, in units of the scatter of one validation map: "]
    lines[-1] += (
        ", ".join(f"{k} {v:.2f}" for k, v in fidelity["largest_difference_of_means_in_sigma"].items()) + "."
    )
    return "\n".join(lines) + "\n"


def _limits(card: dict[str, Any], model: Model) -> str:
    independence = card["data"]["origin"].get("independence", "not known")
    lines = [
        *_validated(card),
        f"{_fixed(card)}: not to be rescaled. " + _sizes(card, model),
        *_largest(card, model),
        f"Independence of the maps it was trained on and measured with: {independence}.",
        CAUTION,
    ]
    return "\n".join(f"- {line}" for line in lines)


def _validated(card: dict[str, Any]) -> list[str]:
    """Say where maps were found to agree, in a line for every source bin."""
    of_bins = card.get("fidelity_of_bins")
    lines = []
    for number, fidelity in enumerate(of_bins or [card["fidelity"]]):
        validated = fidelity["validated"]
        lines.append(
            (f"Source bin {number}: mean" if of_bins else "Mean")
            + f" power within a factor {validated['factor']:g} of the validation maps': "
            f"{_range('ell', validated['ell'])}; pixel density: {_range('kappa', validated['kappa'])}. "
            "Outside, nothing is claimed."
        )
    return lines


def _sources(card: dict[str, Any]) -> str:
    """Say of which sources the maps are."""
    if not (redshifts := card.get("bin_redshifts")):
        return f"source redshift {_or_unknown(card['source_redshift'])}"
    return f"{len(redshifts)} source bins made together, at redshifts {', '.join(map(_or_unknown, redshifts))}"


def _scale(scale: float | list[float]) -> str:
    """Say by what kappa was divided."""
    return f"scales of the bins {_numbers(scale)}" if isinstance(scale, list) else f"scale {scale:g}"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _fixed(card: dict[str, Any]) -> str:
    """Say what all of its maps have in common."""
    varied = card["parameters"]
    cosmology = [] if set(varied) - {"source_redshift"} else ["one cosmology"]
    sources = "one set of source bins" if card.get("bin_redshifts") else "one source redshift"
    redshift = [] if "source_redshift" in varied else [sources]
    return ", ".join([*cosmology, *redshift, "one size of pixels"]).capitalize()


def _sizes(card: dict[str, Any], model: Model) -> str:
    """Say which sizes of maps it makes, and up to which there were training maps to learn from."""
    crop = card["geometry"]["num_pixels"]
    if not model.any_size:
        return f"{crop} pixels on a side, no more."
    side = card["data"].get("map_pixels", crop)
    measured = card["fidelity"].get("num_pixels", crop)
    return (
        f"Maps of any size, also such that are not square; measured at {measured} pixels on a side. The "
        f"training maps had {side} before they were cropped, and maps of more than {2 * side} are refused "
        "unless told otherwise (`allow_untested_size`)."
    )


def _kind(described: dict[str, Any]) -> str:
    """Describe the model in few words: its kind, and the whole numbers of its description."""
    sizes = [f"{name} {value}" for name, value in described.items() if type(value) is int]
    return f"emulator {described['kind']} ({', '.join(sizes)})" if sizes else f"emulator {described['kind']}"


def _largest(card: dict[str, Any], model: Model) -> list[str]:
    if model.limit is None:
        return []
    tops = np.ravel(Normalisation.from_json(card["normalisation"]).inverse(jnp.float32(model.limit)))
    each = " (bin by bin)" if len(tops) > 1 else ""
    share = card["data"]["share_of_crops_outside_network_range"]
    return [
        f"No generated pixel exceeds |kappa| = {_numbers(tops)}{each}; a share {share:.2g} of the training "
        "crops hold one that does."
    ]


def _range(name: str, limits: list[float] | None) -> str:
    return f"nowhere in {name}" if limits is None else f"{name} {limits[0]:.4g} to {limits[1]:.4g}"


def _or_unknown(redshift: float | None) -> str:
    return "not said by the data" if redshift is None or math.isnan(redshift) else f"{redshift:g}"
