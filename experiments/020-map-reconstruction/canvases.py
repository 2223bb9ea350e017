"""Error of the shear in the middle of canvases cut from a large sky, by what is done at their borders.

python experiments/020-map-reconstruction/canvases.py

Gaussian skies of 1024 pixels, of which the shear is known; middles of 64 pixels, 48 of each kind of sky.
"""

import numpy as np

from cosmogan_jax.summaries import kappa_to_shear, shear_of_canvas

SKY, MIDDLE, EVERY, SKIES = 1024, 64, 256, 3


def taper(outer):
    """1 up to the middle of the margin, then a cosine down to 0 at the border."""
    from_border = np.minimum(np.arange(outer), np.arange(outer)[::-1]) + 0.5
    one = np.sin(np.pi / 2 * np.clip(from_border / ((outer - MIDDLE) / 4), 0, 1)) ** 2
    return np.outer(one, one)


def tapered(canvas):
    """The tapered canvas, and zeros behind it."""
    side = canvas.shape[-1]
    alone = (canvas - canvas.mean()) * taper(side)
    shear = kappa_to_shear(np.pad(alone, (0, side)).astype(np.float32))
    return middle(np.stack(shear)[:, :side, :side])


def middle(maps):
    """Of canvases."""
    low = (maps.shape[-1] - MIDDLE) // 2
    return maps[:, low : low + MIDDLE, low : low + MIDDLE]


METHODS = {
    "zeros behind (shear_of_canvas)": lambda canvas: np.stack(shear_of_canvas(canvas, MIDDLE, MIDDLE)[1:]),
    "periodic": lambda canvas: middle(np.stack(kappa_to_shear(canvas))),
    "tapered, zeros behind": tapered,
}


def main() -> None:
    """Print a table."""
    k = 2 * np.pi * np.hypot(np.fft.fftfreq(SKY)[:, None], np.fft.fftfreq(SKY))
    k[0, 0] = np.inf
    smooth = np.exp(-(np.where(np.isfinite(k), k, 0) ** 2) / 2)
    skies = {
        "waves up to 1.6 middles": (k + 0.03) ** -1.2 * smooth * np.exp(-((2 * np.pi / 100 / k) ** 2)),
        "all waves": (k + 0.01) ** -1.2 * smooth,
    }
    rng = np.random.default_rng(0)
    print("| sky | canvas, in middles | at the border | error / rms shear | the same without the map's mean |")
    print("|---|---|---|---|---|")
    for name, power in skies.items():
        sums = {}
        for _ in range(SKIES):
            kappa = np.fft.ifft2(np.fft.fft2(rng.normal(size=k.shape)) * np.sqrt(power)).real.astype(np.float32)
            everywhere = np.stack([kappa, *kappa_to_shear(kappa)])
            for row, column in np.ndindex(SKY // EVERY, SKY // EVERY):
                turned = np.roll(everywhere, (-EVERY * row, -EVERY * column), (1, 2))
                for sides in (2, 3, 4):
                    canvas = turned[:, : sides * MIDDLE, : sides * MIDDLE]
                    right = middle(canvas[1:])
                    for method, shear in METHODS.items():
                        off = shear(canvas[0]) - right
                        both = [off, right]
                        squares = [(v**2).sum() for v in both] + [
                            ((v - v.mean((1, 2), keepdims=True)) ** 2).sum() for v in both
                        ]
                        sums[sides, method] = sums.get((sides, method), 0) + np.array(squares)
        for (sides, method), (off, right, off_varying, right_varying) in sums.items():
            whole, varying = np.sqrt(off / right), np.sqrt(off_varying / right_varying)
            print(f"| {name} | {sides} | {method} | {whole:.3f} | {varying:.3f} |")


if __name__ == "__main__":
    main()
