"""What a study is to run.

In comes a file, a recipe or a mapping, with what a command line gives over it; out go a checked
`Study` (its section is a `Plan`) and the cells of its design. No model and no torch is needed.
Others use `study.Study`, `plan.Plan` and `design.cells_of`; `sweep` serves these.
"""
