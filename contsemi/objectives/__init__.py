"""One file a paper: what is learned from labelled and unlabelled images."""
