"""Ray: imported where an engine asks for it, and begun or joined once a process."""

from __future__ import annotations

import logging
import os
from typing import Any

from rag_rec.core.errors import ConfigError


def import_ray() -> Any:
    """Return the module ``ray``, with ``ray.data`` in it.

    Raises:
        ConfigError: If one of them is missing; the line says what to install.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data  # pyright: ignore[reportUnusedImport] - a part of ray that is not there by itself
    except ImportError as error:
        raise ConfigError(
            f"--engine ray needs a package ({error}); install it with: pip install 'rag-rec[ray]'"
        ) from error
    return ray


def begin_ray(ray: Any) -> int:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine; return its CPUs.

    Without an address Ray would join what was started here last, and wait for ever if that is gone.
    """
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS") or "local"
        ray.init(
            address=address, log_to_driver=False, include_dashboard=False, logging_level="ERROR"
        )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return int(ray.cluster_resources()["CPU"])
