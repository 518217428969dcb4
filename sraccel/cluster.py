"""Ray, the engine for more than one machine: joined where it runs, else started here.

Scheduling, placement, transport and the watch over processes are Ray's. It is an extra: nothing of
it is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sraccel.errors import ConflictError

WANTED = "`--executor ray` takes Ray: pip install 'sraccel[ray]', or leave it out"
START_TRIES = 3
"""Ray gives a node 30 seconds to start, which a busy machine may not hold the first time."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        ray: the module.
    """

    ray: Any

    def devices(self, device: str) -> int:
        """How many workers have a device of their own: GPUs for `cuda`, else cores."""
        kind = "GPU" if device.startswith("cuda") else "CPU"
        return int(self.ray.cluster_resources().get(kind, 0))

    def actor(self, kind: type, device: str, *arguments: Any) -> Any:
        """A process of its own that holds an object of a class; spread over the nodes.

        On `cuda` it has a GPU to itself. It claims no core, so that what is left of a cluster that
        lost a node can take it. Ray does not restart it: whoever asked knows what it was doing.
        """
        claims = {"num_gpus": 1} if device.startswith("cuda") else {"num_cpus": 0}
        options = {"scheduling_strategy": "SPREAD", "max_restarts": 0, "max_task_retries": 0}
        return self.ray.remote(kind).options(**claims, **options).remote(*arguments)


def check_ray() -> Any:
    """The module.

    Raises:
        ConflictError: Ray is not installed: how to get it.
    """
    try:
        import ray
    except ImportError as error:
        raise ConflictError(f"{WANTED} ({error})") from error
    return ray


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Join the cluster that `RAY_ADDRESS` names or that runs here, else start one.

    What was started, or joined, is left at the end; a connection that was there stays.

    Raises:
        ConflictError: Ray is not installed, or cannot be started.
    """
    ray = check_ray()
    if ray.is_initialized():
        yield Cluster(ray)
        return
    _connect(ray)
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _connect(ray: Any) -> None:
    for left in reversed(range(START_TRIES)):
        try:
            ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
        except Exception as error:  # Ray has no class of its own for this
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise ConflictError(f"Ray cannot be joined or started: {error}") from error
            if not left:
                raise ConflictError(
                    f"Ray did not start in {START_TRIES} tries: run `ray start --head` on a "
                    f"quiet machine first, and this command joins it ({error})"
                ) from error
        else:
            return
