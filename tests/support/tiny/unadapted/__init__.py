"""Tiny pipelines of diffusers beyond those that an adapter was written for."""

from tiny.unadapted.controlled import CONTROLLED
from tiny.unadapted.images import IMAGES
from tiny.unadapted.unets import UNETS
from tiny.unadapted.variants import VARIANTS
from tiny.unadapted.videos import VIDEOS

UNADAPTED = [*VIDEOS, *IMAGES, *UNETS]
"""One or more pipelines of each family without an adapter."""

__all__ = ["CONTROLLED", "IMAGES", "UNADAPTED", "UNETS", "VARIANTS", "VIDEOS"]
