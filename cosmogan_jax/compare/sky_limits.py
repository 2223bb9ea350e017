"""Up to where the maps that an emulator is trained on are a sky: what is known of it, measured, and said."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any, Literal, Self

Values = tuple[float | None, ...]
# Shares of halofit's power within which a band agrees.
SHARES = (0.05, 0.10)
HEAD = (
    "ell", "power / halofit", "less particle noise", "particle noise, share of power", "left by the pixels",
    "error of the training maps' mean",
)  # fmt: skip
_SKIES = ("nbody", "lognormal", "planes", "given")
_WORDS = {"born": "Born approximation", "multi_plane": "rays deflected at every plane"}


@dataclasses.dataclass(frozen=True)
class SkyLimits:
    """What training maps are made of, and their mean power in bands, in steradian, beside what it should be.

    Attributes:
      sky: how the maps were made: by this package's boxes, as lognormal fields, from lens planes, or given.
      l_edges: bands of ell.
      num_maps: training maps, after cropping, that were measured.
      units, unit: what counts as independent, and how many of it there are.
      power: the training maps' mean, over units.
      power_error: its standard error, scatter of units / sqrt(units); None where there is one unit.
      theory: what maps cut alike from a sky of halofit's power would have (`sky.map_power.expected_bands`).
      particle_noise: Poisson's, through the same planes and rays (`sky.particle_noise`).
      pixel_window: share of a band's power that pixels leave.
      unknown: why theory is not known; None where it is.
      box_size: side in Mpc/h; slab_size: of what lies on one plane, along the line of sight.
      box_ell: multipole of a box's longest wave at the distance that lenses most.
      particles_side: particles along the side of a box.
      ray_tracing: how light passes the planes.
      rays_per_pixel: along a side of a pixel, which is their mean.
      sharpened: whether small scales were raised to halofit's power.

    Raises:
      ValueError: values that do not fit the bands, an unknown sky, or neither theory nor why there is none.
    """

    sky: Literal["nbody", "lognormal", "planes", "given"]
    l_edges: tuple[float, ...]
    num_maps: int
    units: int
    unit: str
    power: Values
    power_error: Values | None = None
    theory: Values | None = None
    particle_noise: Values | None = None
    pixel_window: Values | None = None
    unknown: str | None = None
    box_size: float | None = None
    slab_size: float | None = None
    box_ell: float | None = None
    particles_side: int | None = None
    ray_tracing: str | None = None
    rays_per_pixel: int | None = None
    sharpened: bool = False

    def __post_init__(self):
        if self.sky not in _SKIES:
            raise ValueError(f"sky={self.sky!r} must be one of {', '.join(_SKIES)}")
        if self.ray_tracing is not None and self.ray_tracing not in _WORDS:
            raise ValueError(f"ray_tracing={self.ray_tracing!r} must be one of {', '.join(_WORDS)}")
        if self.sky == "nbody":
            for name in ("box_size", "slab_size", "box_ell", "particles_side", "ray_tracing", "rays_per_pixel"):
                if getattr(self, name) is None:
                    raise ValueError(f"{name}=None must be known of own boxes")
        for name in ("l_edges", "power", "power_error", "theory", "particle_noise", "pixel_window"):
            values = getattr(self, name)
            if values is None:
                continue
            expected = len(self.l_edges) - (name != "l_edges")
            if len(values) != expected:
                raise ValueError(f"{name} of {len(values)} values must have {expected}")
            finite = (None if v is None or not math.isfinite(v) else float(v) for v in values)
            object.__setattr__(self, name, tuple(finite))
        if self.theory is None and self.unknown is None:
            raise ValueError("unknown=None must say why the theory is not known")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it, with what follows from it: to_halofit, valid_to_ell by share."""
        own = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        valid = {f"{share:g}": self.valid_to(share) for share in SHARES}
        return {**own, "to_halofit": self.to_halofit(), "valid_to_ell": valid}

    @classmethod
    def from_json(cls, content: dict[str, Any], where: str = "sky limits") -> Self:
        """Return the record; ValueError names where it stands and what is wrong."""
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            known: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in content.items() if k in names
            }
            return cls(**known)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{where}: {error}; damaged, or written by another version") from error

    def to_halofit(self) -> list[float | None] | None:
        """Return the mean power over what it should be, band by band."""
        return None if self.theory is None else list(map(_over, self.power, self.theory))

    def error_floor(self) -> list[float | None] | None:
        """Return the relative error of the mean power: nothing trained on the maps can know it better."""
        return None if self.power_error is None else list(map(_over, self.power_error, self.power))

    def noise_share(self) -> list[float | None] | None:
        """Return the share of particle noise in the power."""
        return None if self.particle_noise is None else list(map(_over, self.particle_noise, self.power))

    def less_noise(self) -> list[float | None] | None:
        """Return the mean power without particle noise over what it should be."""
        ratio, share = self.to_halofit(), self.noise_share()
        if ratio is None or share is None:
            return None
        return [None if r is None or s is None else r * (1 - s) for r, s in zip(ratio, share)]

    def valid_to(self, share: float) -> float | None:
        """Return up to which ell the mean power is halofit's within a share; None: in no band, or unknown.

        Bands are gone through from the lowest on. The first whose power, with or without particle noise,
        deviates by more than share and its own standard error ends the range, at its lower edge. With and
        without: the true noise lies between none and Poisson's, and where noise makes up for structure that is
        missing, the power is right and the sky is not.
        """
        ratio, floor = self.to_halofit(), self.error_floor()
        if ratio is None or floor is None:
            return None
        agreed = None
        for high, r, clean, error in zip(self.l_edges[1:], ratio, self.less_noise() or ratio, floor):
            if r is None or clean is None or error is None:
                continue  # a band without modes
            if max(abs(r - 1), abs(clean - 1)) - error * r > share:
                break
            agreed = high
        return agreed


def rows(limits: SkyLimits) -> list[tuple[str, ...]]:
    """Return a line for each band, under HEAD; empty where it is not known."""

    def column(values, form: Callable[[float], str]) -> list[str]:
        return ["" if v is None else form(v) for v in values or [None] * (len(limits.l_edges) - 1)]

    return list(
        zip(
            (f"{low:.0f} to {high:.0f}" for low, high in itertools.pairwise(limits.l_edges)),
            column(limits.to_halofit(), "{:.3f}".format),
            column(limits.less_noise(), "{:.3f}".format),
            column(limits.noise_share(), _per_cent),
            column(limits.pixel_window, "{:.3f}".format),
            column(limits.error_floor(), _per_cent),
        )
    )


def words(limits: SkyLimits) -> list[str]:
    """Say what a user of the maps, or of an emulator of them, must know of their sky, a paragraph each.

    What they are made of and what is not in them; up to where they are valid; how well their mean is known.
    """
    return [" ".join(lines) for lines in (_made(limits), _valid(limits), _floor(limits)) if lines]


def _made(limits: SkyLimits) -> list[str]:
    lines = []
    if limits.sky == "nbody":
        boxes = "one own N-body box" if limits.units == 1 else f"{limits.units} own N-body boxes"
        lines += [
            f"The training maps are of {boxes} of {limits.box_size:g} Mpc/h with {limits.particles_side}³ "
            f"particles, {_WORDS[str(limits.ray_tracing)]}.",
            f"They hold no waves longer than a box (ell {limits.box_ell:.0f} at the distance that lenses "
            f"most), along the line of sight none longer than a slab of {limits.slab_size:g} Mpc/h: no "
            "super-sample covariance.",
            _pixels(limits.rays_per_pixel),
        ]
    elif limits.sky == "lognormal":
        lines += [
            "The training maps are shifted lognormal fields: their power is halofit's by construction, mode by "
            "mode, without a pixel window; all else but their skewness is the model's, not a sky's.",
            "They hold no waves longer than twice the side of the maps they are cut from: no super-sample "
            "covariance.",
        ]
    elif limits.sky == "planes":
        lines += [
            f"The training maps are of lens planes made elsewhere, {_WORDS[str(limits.ray_tracing)]}.",
            _pixels(limits.rays_per_pixel),
        ]
    if limits.sky in ("nbody", "lognormal"):
        lines.append("There are no baryons in them, nor in the halofit that they are compared with.")
    return lines


def _pixels(rays: int | None) -> str:
    if rays is None:
        return ""
    if rays == 1:
        return "A pixel is one ray, without a pixel window."
    return f"A pixel is the mean of {rays}x{rays} rays, whose window is not divided out."


def _valid(limits: SkyLimits) -> list[str]:
    if limits.theory is None:
        return [f"Up to which ell they are a sky is not known: {limits.unknown}."]
    if limits.power_error is None:
        return [
            f"Up to which ell they are a sky cannot be told: one {limits.unit} leaves no error of its power."
        ]
    noise = ", with particle noise and without it," if limits.particle_noise else ""
    lines = [
        f"Valid {', '.join(_to(limits, share) for share in SHARES)}.",
        f"That is: from the lowest band on, their mean power{noise} is within that share of what halofit's sky "
        "has through the same pixels and crops, the standard error of the band allowed for. Halofit itself is "
        "right to 5 % at k below 1 h/Mpc and 10 % up to 10 h/Mpc (Takahashi et al. 2012).",
    ]
    if limits.particle_noise:
        lines.append(
            "Particle noise is Poisson's, an upper bound: particles start on a lattice, and scatter less where "
            "they have not crossed, early on and in voids."
        )
    if limits.sharpened:
        lines.append(
            "Small scales were raised to halofit's power: that it agrees says nothing of other statistics."
        )
    return lines


def _to(limits: SkyLimits, share: float) -> str:
    end = limits.valid_to(share)
    if end is None:
        return f"at {100 * share:.0f} % in no band, not even the lowest"
    floor = zip(limits.error_floor() or [], limits.l_edges[1:])
    error = max(error for error, high in floor if error is not None and high <= end)
    hidden = f" (where errors of up to {_per_cent(error)} may hide more)" if error > share else ""
    return f"at {100 * share:.0f} % to ell {end:.0f}{hidden}"


def _floor(limits: SkyLimits) -> list[str]:
    floor = [e for e in limits.error_floor() or [] if e is not None]
    if not floor:
        return []
    plural = "boxes" if limits.unit == "box" else "maps"
    lines = [
        f"{limits.units} {plural}, counted as independent, leave an error of {_per_cent(min(floor))} to "
        f"{_per_cent(max(floor))} on a band's mean power (scatter of {plural} / √{limits.units}): no emulator "
        "of them is nearer to the truth than that, however many maps it makes."
    ]
    if limits.sky == "given" and limits.unit == "map":
        lines.append("The files name no boxes; where maps share one, the error is larger.")
    return lines


def _per_cent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _over(value: float | None, unit: float | None) -> float | None:
    return None if value is None or not unit else value / unit
