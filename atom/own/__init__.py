"""Layer 0: what Atom keeps in a database, a numbered file each, and declares."""
