"""Discovery: what the entry points of the group `sraccel` name, imported and looked at.

In: the metadata of installed distributions. Out: plugins, each with what it offers and with what is
wrong with it; one bad item takes nothing else along. Imports no torch, unless a plugin does.

`entry_points` loads one, `offers` asks its hooks and checks each item, `requirements` compares with
what is installed, `import_cost` measures, `disabled` knows what the user switched off.

Others use: `plugin`, `requirements`, `disabled`, `entry_points`, `import_cost`.
"""
