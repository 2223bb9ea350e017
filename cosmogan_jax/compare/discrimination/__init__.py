"""A classifier trained to tell two sets of maps apart, and how well it does."""
