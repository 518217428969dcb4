"""`sraccel calibrate blend`: how far of the way from reuse to order 1 predictions should go.

ScalingCache fits one factor offline; here it is the least squares of all predictions that a cache
could make on recorded bare runs: from two values `gap` steps apart, up to `gap` steps ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sraccel.plugin import Calibration, Trajectory

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

GAPS = range(1, 7)
MOST = 2.0
"""Beyond, the option takes none."""
APART = 0.5
"""Best factors of two gaps that differ by more are worth a warning."""


class Blend(Calibration):
    """The option `alpha` of `kind: blend`."""

    name = "blend"
    purpose = "Fit `alpha` of the predictor `forecast` of kind `blend`: 0 is reuse, 1 is order 1."
    unit = "of plain reuse's error"

    def fit(self, runs: Sequence[Trajectory]) -> Mapping[str, Any]:
        """`alpha` over all gaps, and the best one of each gap alone."""
        by_gap = {str(gap): _best(_moments(runs, [gap])) for gap in GAPS if gap < runs[0].steps}
        return {"alpha": _best(_moments(runs, GAPS)), "by_gap": by_gap}

    def error(self, fit: Mapping[str, Any], run: Trajectory) -> float:
        """Root mean square error over that of plain reuse."""
        return _error(fit["alpha"], _moments([run], GAPS))

    def recipe(self, fit: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
        """Beside a rule of the reader's own."""
        return [{"use": "forecast", "kind": "blend", "alpha": str(path)}]

    def warnings(self, fit: Mapping[str, Any]) -> Iterable[str]:
        """Whether one factor can serve all gaps."""
        low, high = min(fit["by_gap"].values()), max(fit["by_gap"].values())
        if high - low > APART:
            listed = ", ".join(f"{alpha:.2f} at {gap}" for gap, alpha in fit["by_gap"].items())
            yield f"blend: the best factor depends on the steps between computed ones: {listed}"

    def draw(self, axes: Axes, fit: Mapping[str, Any], runs: Sequence[Trajectory]) -> None:
        """The error over alpha, by gap, and where the fit lies."""
        alphas = [k / 20 for k in range(31)]
        for gap in GAPS:
            moments = _moments(runs, [gap])
            axes.plot(alphas, [_error(a, moments) for a in alphas], label=f"gap {gap}")
        axes.axvline(fit["alpha"], color="0.3", linestyle="--", label="fit")
        axes.set_xlabel("alpha (0: reuse, 1: order 1)")
        axes.set_ylabel("error over that of reuse")
        axes.legend(frameon=False)


def _moments(runs: Iterable[Trajectory], gaps: Iterable[int]) -> np.ndarray:
    """Sums over runs and gaps, three numbers."""
    import numpy as np

    found: np.ndarray = np.sum([_moment(run, gap) for run in runs for gap in gaps], axis=0)
    return found


def _moment(run: Trajectory, gap: int) -> np.ndarray:
    """Squares of the slopes' reach, its products with what was to be predicted, squares of that."""
    import numpy as np

    products = run.matrix()[run.steps :, run.steps :]
    found = np.zeros(3)
    for ahead in range(1, gap + 1):
        before = np.arange(max(run.steps - gap - ahead, 0))  # empty beyond the grid
        last, at = before + gap, before + gap + ahead
        own = products[last, last]
        slope = own - 2 * products[last, before] + products[before, before]
        both = products[last, at] - own - products[before, at] + products[before, last]
        change = products[at, at] - 2 * products[at, last] + own
        reach = ahead / gap
        found += [reach**2 * slope.sum(), reach * both.sum(), change.sum()]
    return found


def _best(moments: Any) -> float:
    """The factor of least squares, as far as the option takes it."""
    reach, both, _ = moments
    return float(min(max(both / reach, 0.0), MOST)) if reach > 0 else 0.0


def _error(alpha: float, moments: Any) -> float:
    reach, both, change = moments
    square = change - 2 * alpha * both + alpha**2 * reach
    return float(max(square / change, 0.0) ** 0.5) if change > 0 else 0.0
