"""Scores that rank generators while they train and when one is selected."""
