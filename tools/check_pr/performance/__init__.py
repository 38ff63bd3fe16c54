"""Whether head is slower: interleaved pairs of measurements, and a verdict that may be undecided."""
