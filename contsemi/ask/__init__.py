"""Which photos are most worth a label, on a page to give it on."""
