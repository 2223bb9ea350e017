"""What each stage is told: one frozen dataclass a stage, a field for each of its flags.

Fields marked neutral (logging, growth of the training) never count as different when a finished stage
is run again. This module imports no JAX, so that flags parse, --help prints and reports are made without.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from cosmogan_jax.settings.declaration import neutral
from cosmogan_jax.settings.train import Train as Train


@dataclasses.dataclass(frozen=True)
class Simulate:
    """Flags of stage simulate."""

    seed: int
    sky: str
    lens_planes: str | None
    map_pixels: int
    side_deg: float | None
    source_redshift: float | None
    lognormal_shift: float
    omega_m: float | None
    omega_b: float | None
    sigma8: float | None
    n_s: float | None
    h: float | None
    w0: float | None
    wa: float | None
    ray_tracing: str
    rays_per_pixel: int
    box_size: float
    num_particles_side: int
    mesh_factor: int
    num_time_steps: int
    start_redshift: float
    slabs_per_box: int
    plane_pixels: int | None
    sharpen_to: str
    num_train_boxes: int
    num_development_boxes: int
    num_validation_boxes: int
    num_auxiliary_boxes: int
    num_train_maps: int
    num_development_maps: int
    num_validation_maps: int
    num_auxiliary_maps: int | None
    boxes_dir: str | None = neutral()
    write_lens_planes: bool = neutral()


# What values may look like that are not convergence (`maps/plausibility.py`).
VALUE_KINDS = ("units", "fill", "mask", "counts", "bins")


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Flags of stage prepare."""

    seed: int
    maps: tuple[str, ...]
    development_maps: tuple[str, ...]
    validation_maps: tuple[str, ...]
    auxiliary_maps: tuple[str, ...]
    side_deg: float | None
    source_redshift: float | None
    hdf5_dataset: str | None
    fits_extension: str | None
    raw_shape: tuple[int, ...]
    channel: int | None
    cut_patches: tuple[int, ...]
    source_bins: tuple[str, ...]
    bin_redshifts: tuple[float, ...]
    map_parameters: str | None
    parameters_from_name: str | None
    vary: tuple[str, ...]
    downsample: int
    invalid_pixels: str
    split_by: str
    development_share: float
    validation_share: float
    crop_size: int
    crops_per_map: int
    normalisation: str
    normalisation_scale: float
    mask: tuple[str, ...]
    mask_max_fraction: float
    accept_values: tuple[str, ...] = neutral()


@dataclasses.dataclass(frozen=True)
class Select:
    """Flags of stage select."""

    seed: int
    select_from_step: int
    select_maps: int
    select_l_bins: int
    select_by: str
    select_again: int
    weights: str


@dataclasses.dataclass(frozen=True)
class Generate:
    """Flags of stage generate."""

    checkpoint: str
    pretrained: str | None
    weights: str
    num_generated: int
    generate_seed: int
    generate_pixels: tuple[int, ...]
    generate_noise: tuple[float, ...]
    generate_smoothing_arcmin: float
    generate_batch: int = neutral()
    allow_untested_size: bool = neutral()


@dataclasses.dataclass(frozen=True)
class GivenMaps:
    """Flags of stages that take generated maps as files, and what such files leave open."""

    generated: tuple[str, ...]
    judged_side_deg: float | None
    side_deg: float | None
    source_redshift: float | None
    hdf5_dataset: str | None
    fits_extension: str | None
    raw_shape: tuple[int, ...]
    channel: int | None
    invalid_pixels: str
    cut_patches: tuple[int, ...]
    source_bins: tuple[str, ...]
    bin_redshifts: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Evaluate(GivenMaps):
    """Flags of stage evaluate."""

    margins: str
    evaluate_l_bins: int
    reference: tuple[str, ...]
    auxiliary: tuple[str, ...]
    mask: tuple[str, ...]
    auxiliary_split: str
    independent_unit: Literal["auto", "map", "box", "patch"]
    num_permutations: int
    num_resamples: int
    observer_smoothing_arcmin: tuple[float, ...]
    shape_noise_sigma_e: float
    galaxies_per_arcmin2: float
    survey_area_deg2: float
    classifier_steps: int
    accept_values: tuple[str, ...] = neutral()


@dataclasses.dataclass(frozen=True)
class Novelty(GivenMaps):
    """Flags of stage novelty."""

    novelty_maps: int
    novelty_batches: int
    novelty_queries: int
    novelty_l_bins: int
    novelty_fraction: float
    novelty_symmetries: bool
    novelty_shifts: bool
    novelty_steps: int
    accept_values: tuple[str, ...] = neutral()


@dataclasses.dataclass(frozen=True)
class Export:
    """Flags of stage export."""

    export: tuple[str, ...]
    export_from: str | None


@dataclasses.dataclass(frozen=True)
class Pack:
    """Flags of stage pack."""

    pack: str | None
    pack_data: str | None
    pack_dtype: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Flags of stage report."""

    report_title: str


@dataclasses.dataclass(frozen=True)
class Processes:
    """How the processes of a run find each other."""

    distributed: str
    coordinator_address: str | None
    num_processes: int | None
    process_id: int | None


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Everything a command line says: where, which stages, how to speak, and the settings of all stages."""

    workdir: Path
    stages: tuple[str, ...]
    stages_given: bool
    by_stage: dict[str, Any]
    dry_run: bool
    verbosity_given: bool
    require: str
    compilation_cache_dir: str
    processes: Processes
    # What a setting is where nothing is said: what a run meant that was recorded before there was the setting.
    defaults: dict[str, Any] = dataclasses.field(default_factory=dict)


def results_only(settings: Any) -> dict[str, Any]:
    """The settings of a stage that change its result, by flag name, as JSON would give them back."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            values |= results_only(value)
        elif not field.metadata.get("neutral"):
            values[field.name] = list(value) if isinstance(value, tuple) else value
    return values
