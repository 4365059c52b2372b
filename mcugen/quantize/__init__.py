"""From float ranges to the integer graph."""
