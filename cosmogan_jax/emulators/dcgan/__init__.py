"""The paper's kind: a DCGAN with a vector of numbers as latent (Mustafa et al. 2019)."""
