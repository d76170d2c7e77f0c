"""What methods are built of, beside losses and assignments."""
