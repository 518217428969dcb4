"""What a study is to run.

In: a file, a recipe or a mapping, and the command line's options, which go over it. Out: a checked
`Study` (its section is a `Plan`) and the cells of its design. No model and no torch is needed.

Others use: `study`, `plan`, `design`, and the names in `sweep`.
"""
