"""A new plugin's package: files made from templates, ready to be installed, tested and changed.

In: a name and a kind. Out: a folder with a package that brings one working accelerator (or metric).
`names` makes the names in it of one, `package` fills in `templates/` and writes the folder.

Others use: `package`, `names`.
"""
