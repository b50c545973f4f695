"""Which edges to ask about, the journal of answers, rounds and their simulation."""
