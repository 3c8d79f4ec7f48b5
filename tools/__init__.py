"""Tools for whoever works on Atom."""
