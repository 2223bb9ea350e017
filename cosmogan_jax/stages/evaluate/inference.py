"""What generated in place of validation maps would mean for Omega_m and sigma8, by bands of the power."""

from typing import Any

import numpy as np

from cosmogan_jax.compare.fisher import infer
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology
from cosmogan_jax.sky.response import PARAMETERS, band_response
from cosmogan_jax.stages.evaluate.summarising import Summaries

_SEED = 0
_PARAMETERS = ("omega_m", "h", "w0", "wa", "omega_b", "sigma8", "n_s")


def judge(
    sets: MapSets,
    each: dict[str, Summaries],
    units: dict[str, np.ndarray],
    l_edges: np.ndarray,
    settings: Evaluate,
) -> dict[str, Any]:
    """Return `compare/fisher.py`'s Inference by parameter; refused says why there is none.

    Derivatives are logarithmic ones of theory, times the validation maps' own mean power: what the maps'
    resolution takes from the power it takes from its derivative. Parameters that the maps do not say are the
    paper's, and are named as assumed.
    """
    validation = sets.validation
    if validation.source_redshift is None:
        return {"refused": "the source redshift of the maps is not known (--source_redshift)"}
    known = {
        name: value for name, value in validation.cosmology.items() if name in _PARAMETERS and value is not None
    }
    assumed = [name for name in _PARAMETERS if name not in known]
    values = {name: known.get(name, getattr(PAPER_COSMOLOGY, name)) for name in _PARAMETERS}
    try:
        cosmology = Cosmology(omega_lambda=1 - values["omega_m"], **values)
        response = band_response(l_edges, validation.geometry, cosmology, validation.source_redshift)
        power = each["validation"]["power_bands"].astype(np.float64)
        result = infer(
            each["generated"]["power_bands"],
            power,
            response.logarithmic * power.mean(0)[:, None],
            units["generated"],
            units["validation"],
            map_deg2=validation.geometry.side_deg**2,
            survey_deg2=settings.survey_area_deg2,
            seed=_SEED,
            num_resamples=settings.num_resamples,
        )
    except (ValueError, ModuleNotFoundError) as error:
        return {"refused": str(error)}
    entry: dict[str, Any] = {
        "refused": None,
        "parameters": list(PARAMETERS),
        "cosmology": {name: values[name] for name in _PARAMETERS},
        "assumed": assumed,
        "survey_area_deg2": settings.survey_area_deg2,
        "bands": len(l_edges) - 1,
    }
    for name, value in result._asdict().items():
        entry[name] = (
            value
            if isinstance(value, float)
            else {
                "value": np.asarray(value.value).tolist(),
                "standard_error": np.asarray(value.standard_error).tolist(),
            }
        )
    return entry
