"""How a model writes: one token after another, chosen by a rule."""
