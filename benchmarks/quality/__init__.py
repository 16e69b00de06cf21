"""How good the mattes are, against presets, peers and classical baselines on the same photos."""
