"""Whole tables in and out: `load` reads CSV or JSON lines, `export` writes them."""
