"""One part of each kind, as somebody else would add them."""
