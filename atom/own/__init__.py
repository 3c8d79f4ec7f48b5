"""Atom's own tables and triggers."""
