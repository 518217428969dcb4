"""The accelerators that come with sraccel. They import `sraccel.plugin` only, as any plugin does.

`srdiffusion`: a large model sketches, a small one renders. `teacache`: skips steps whose input
hardly changed. `sageattention`: 8-bit attention. Each is a plugin of its own (pyproject.toml).

Others use: srdiffusion, teacache.
"""
