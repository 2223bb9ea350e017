"""Standard errors of means over maps that hang together by parent, on the device."""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from cosmogan_jax.compare.parents import numbered


class Groups(NamedTuple):
    """The parent of each map, numbered from 0."""

    index: Int[Array, " maps"]  # type: ignore[assignment]  # hides tuple's own, which is of no use here
    count: int  # type: ignore[assignment]  # hides tuple's own, which is of no use here


class Contrast(NamedTuple):
    """A difference that is 0 where there is none, and its standard error."""

    value: Float[Array, "..."]
    standard_error: Float[Array, "..."]

    @property
    def significance(self) -> Float[Array, "..."]:
        """Return the value in units of its error; about Student's t with parents - 1 degrees of freedom."""
        return self.value / self.standard_error


def group(parents: Shaped[np.ndarray, " maps"]) -> Groups:
    """Return maps grouped by parent, from any labels.

    Raises:
      ValueError: fewer than two parents.
    """
    index, count = numbered(parents, fewest=2, purpose="an error over parents")
    return Groups(jnp.asarray(index, jnp.int32), count)


def clustered_error(influence: Float[Array, "maps ..."], groups: Groups) -> Float[Array, "..."]:
    """Return the standard error of the mean of `influence` over maps that may hang together by parent.

        SE^2 = G/(G - 1) sum_g (sum_{i in g} (u_i - mean u))^2 / N^2

    over G parents and N maps (Liang & Zeger 1986): the limit of a bootstrap over whole parents
    (`compare/ensembles.py`), in one pass. With one map a parent it is s/sqrt(N). For a smooth function of
    means u_i is its linearisation at map i, which is how the contrasts of `compare/stationarity.py` use it.
    """
    centred = influence - influence.mean(0)
    sums = jax.ops.segment_sum(centred, groups.index, groups.count)
    scale = groups.count / (groups.count - 1)
    return jnp.sqrt(scale * (sums**2).sum(0)) / influence.shape[0]
