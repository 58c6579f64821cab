"""Cards: from a judged run to shards, Parquet, and the page that describes them."""
