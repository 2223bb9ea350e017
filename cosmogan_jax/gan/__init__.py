"""Networks, state, losses, train step and sampling of the adversarial emulator."""
