"""The lognormal GAN: a translation-equivariant network on a lognormal base field, trained adversarially."""
