"""Pictures of records, by matplotlib."""
