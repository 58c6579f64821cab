"""Training of image-text matching models on corpora: the first stage of BLIP-2, the discriminative student of LSKD."""
