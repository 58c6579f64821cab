"""Fine-tuning of image-text-to-text models on corpora, with the trainers of TRL."""
