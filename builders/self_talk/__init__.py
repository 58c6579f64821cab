"""Self-talk (Shwartz et al. 2020; ILLUME, appendix): how much a language model knows, to choose a base model by."""
