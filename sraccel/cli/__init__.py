"""The command `sraccel`. Importing it, `--help` and `sraccel plugins` do not import torch.

In: a command line. Out: files, a table on stdout, messages on stderr, an exit code. Each command
is a file (`app` lists them). They share `options` and `option_groups` (options that stand once for
several commands), `pipelines` (placing, loading, refusals), `outputs` (the files), `progress`
(bars) and `failures` (errors, and what `--debug` shows).

Others use: `app` and `main`.
"""

from sraccel.cli.app import app, main

__all__ = ["app", "main"]
