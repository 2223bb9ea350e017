"""Convergence maps from theory and simulations."""
