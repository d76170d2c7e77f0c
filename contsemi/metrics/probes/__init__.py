"""What frozen features are worth: one file a probe, ``evaluate.probes=[NAME,...]``; numpy only."""
