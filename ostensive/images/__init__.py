"""Image intake: from a folder, a list, tars or Parquet to records, pixels and publishable bytes."""
