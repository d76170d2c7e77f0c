"""One file a paper: what is kept of earlier tasks; composes with any objective."""
