"""Results of several models beside each other: what may be compared, how, and as which page."""
