"""The command `sraccel`. Importing it, `--help` and `sraccel plugins` do not import torch.

In: a command line. Out: files, a table on stdout, messages on stderr, an exit code. A file a
command (`app` lists them); shared by several: `options`, `pipelines` (placing, loading, refusals),
`outputs` (the files), `progress` (bars), `failures` (errors). Others use: `app` and `main`.
"""

from sraccel.cli.app import app, main

__all__ = ["app", "main"]
