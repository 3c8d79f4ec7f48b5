"""Requests turned into statements. Pure: nothing here reaches a database.

Stages, with frozen types between them: a query string becomes a `Query`, a read plan
fits it to the catalog and writes the text. Read in this order:

    statement      a text, its values, the rows it reaches, shared clauses; rows as JSON
    cursor         where a page ended, and the rows that come after it
    relation       relation=…: rows that refer to a row, and rows it refers to
    filter         `<column>=<operator>,<value>`, and or=(…), and=(…) of them
    group          group_by=… and aggregate=…: one row for a group
    query_string   everything a read may ask, made into a query
    near           which column location_filter measures
    read_plan      a query fitted to the catalog, and its statement
    write          insert, update, delete
    upsert         inserts that meet rows which are there already
    stored         rows as they are stored, for hooks and in answers
"""
