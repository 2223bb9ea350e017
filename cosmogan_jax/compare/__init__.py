"""Two ensembles of maps side by side."""
