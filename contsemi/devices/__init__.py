"""Where and with whom a run computes: ranks, gathering, norms, precision, pieces, compiling."""
