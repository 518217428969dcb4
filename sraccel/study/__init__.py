"""Studies: many runs of a recipe's parts, and what they say of how the parts go together."""
