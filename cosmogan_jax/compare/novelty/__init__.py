"""Whether generated maps are new: nearest training maps, near-duplicates, the birthday paradox."""
