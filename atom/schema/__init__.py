"""Declared tables, live tables, and the ordered steps from the live to the declared.

What `config_postgres_schema` says is read by `entry` and `column` into a
`declaration`; `introspect` asks for what is there, kept as `live`; `migration` compares
the two and answers a plan of `change` steps. None is run here: that is feature/schema.
"""
