"""Pages: templates whose foreign text is escaped, and what is filled into them."""
