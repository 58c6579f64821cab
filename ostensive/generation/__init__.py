"""Text from images and text by any image-text-to-text model of `transformers`, in batches."""
