"""How a recipe is read: files with the places of everything in them, includes, overrides."""
