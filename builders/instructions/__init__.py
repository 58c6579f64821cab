"""The `instructions` recipe (STIC, stage 2): people's instructions, with a model's description before the question."""
