"""The command `sraccel`. Importing it, `--help` and `sraccel plugins` do not import torch."""

from sraccel.cli.app import app, main

__all__ = ["app", "main"]
