"""Requests turned into statements; only `run.py` sends one.

Stages, with frozen types between them: filter and query read what a caller wrote,
plan checks it against the catalog, render makes text and values, run sends them.
"""
