"""The accelerators that come with sraccel. They import `sraccel.plugin` only, as any plugin does.

`srdiffusion`: a large model sketches, a small one renders. `teacache`: skips steps whose input
hardly changed. `sageattention`: 8-bit attention. `forecast`: predicts what is skipped. `schedule`,
`feedback`: when to skip, by a list or by the last error. `steps`: fewer steps, well placed. Each is
a plugin of its own (pyproject.toml).
In: a recipe's options, and the stack, runs, steps and calls that hooks are given. Out: a model that
renders, residuals to reuse, attention by a kernel, and what the report says of each.

Others use: forecast, srdiffusion, teacache.
"""
