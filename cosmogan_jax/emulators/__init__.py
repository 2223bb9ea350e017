"""Emulators of convergence maps: what every kind has in common, and one folder for each kind."""
