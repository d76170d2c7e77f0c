"""Pure functions of the accuracy matrix; numpy only, one idea a file."""
