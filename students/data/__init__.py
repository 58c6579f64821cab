"""Reading a corpus for training: map-style from Parquet, streamed from shards, with regions drawn on the fly."""
