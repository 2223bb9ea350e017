"""Inference of parameters from summaries of maps whose mean and covariance are known at every cosmology.

`summary_model.py` makes smooth functions of what an emulator, or simulations, give at some cosmologies;
`posterior_grid.py` turns data into posteriors; `calibration.py` says whether these are right.
"""
