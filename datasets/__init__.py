"""Named public data sets, the generated demo catalog, and the protocols that split them."""
