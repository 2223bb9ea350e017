"""Logarithmic bands of ell: from the fundamental to Nyquist, none of them empty."""

import itertools

import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry, log_l_edges


@pytest.mark.parametrize(("pixels", "asked"), [(16, 4), (32, 20), (64, 20), (64, 60), (33, 12)])
def test_every_band_holds_modes_and_all_together_all_up_to_nyquist(pixels, asked):
    geometry = MapGeometry(pixels, 2.5)
    edges = log_l_edges(geometry, asked)
    bands = geometry.half_plane_bins(edges)
    counts = np.bincount(bands[bands >= 0], minlength=len(edges) - 1)
    assert counts.min() > 0
    assert edges[0] < geometry.fundamental_ell < edges[1]
    assert edges[-1] == pytest.approx(geometry.nyquist_ell, rel=1e-12)
    ell = geometry.half_plane_ell()
    inside = (ell > 0) & (ell <= geometry.nyquist_ell)
    assert counts.sum() == inside.sum()
    # Joined to the next where a band would be empty, and nowhere else: the edges are those asked for.
    wanted = np.geomspace(0.999 * geometry.fundamental_ell, geometry.nyquist_ell, asked + 1)
    assert set(edges) <= set(wanted)
    full = [np.any((ell > low) & (ell <= high)) for low, high in itertools.pairwise(wanted)]
    assert len(edges) - 1 == sum(full)


def test_no_band_is_refused():
    with pytest.raises(ValueError, match="num_bins=0 must be positive"):
        log_l_edges(MapGeometry(16, 1.0), 0)
